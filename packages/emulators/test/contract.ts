import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv, type ValidateFunction } from 'ajv'
import type { Exchange } from '../src/index.ts'
import { operations, type PlatformOperation } from '../src/turso/operations.ts'

/**
 * Where the emulator answers what the service's OpenAPI document does not have. Everything else must match it
 * exactly: the documented statuses only, every documented property present, no other property.
 */
export const divergences: readonly Divergence[] = [
  {
    on: ['databases.list'],
    extra: 'pagination',
    reason: 'the official command line reads `pagination.next`; `limit` and `cursor` are not in the document',
  },
  { on: 'all', status: 401, reason: 'no operation documents the answer to a bad platform token' },
  { on: 'all', status: 403, reason: 'not a member, missing scope, delete protection: in the guides only' },
  { on: 'all', status: 429, reason: 'rate limits are not documented at all' },
  { on: 'all', status: 500, reason: 'a fault, never the emulator by itself' },
  { on: 'all', status: 502, reason: 'a fault, never the emulator by itself' },
  { on: 'all', status: 501, reason: 'not emulated; 501 so that no test mistakes it for a 404' },
  { on: ['databases.create'], status: 422, reason: 'the official command line handles it for taken names' },
  { on: ['databases.list'], status: 400, reason: '`limit` is not in the document' },
  {
    on: ['databases.configure', 'groups.create'],
    status: 400,
    reason: 'no answer to bad input is documented',
  },
  {
    on: ['databases.configuration', 'databases.configure', 'databases.instances', 'databases.instance'],
    status: 404,
    reason: 'observed live; only other operations on a database document it',
  },
  { on: ['groups.configuration', 'groups.configure'], status: 404, reason: 'as for databases' },
]

interface Divergence {
  readonly on: readonly PlatformOperation[] | 'all'
  /** A status that the document does not have; its body is `{ error }`. */
  readonly status?: number
  /** A property of a documented body that the document does not have. */
  readonly extra?: string
  readonly reason: string
}

/** The vendor's OpenAPI document, which lies beside the checkout. */
export const documentFile: string = fileURLToPath(
  new URL('../../../../shared/provider-apis/turso-platform.openapi.json', import.meta.url),
)

/** The document; `undefined` where it is not at hand. */
export const openApi: any = existsSync(documentFile)
  ? JSON.parse(readFileSync(documentFile, 'utf8'))
  : undefined

/** Checks exchanges against the document. */
export interface Contract {
  /** Everything that did not match. */
  readonly violations: string[]
  /** The operations and statuses seen, such as `databases.create 200`. */
  readonly seen: Set<string>
  /** The divergences that were needed. */
  readonly used: Set<Divergence>
  check(exchange: Exchange): void
}

/** A contract over the vendor's document. */
export function createContract(document: any): Contract {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })
  ajv.addSchema(closed(document), 'turso')
  const violations: string[] = []
  const seen = new Set<string>()
  const used = new Set<Divergence>()

  const findProblem = ({ record, status, contentType, body }: Exchange): string | undefined => {
    const operation = record.operation as PlatformOperation | undefined
    if (operation === undefined) return status === 501 ? undefined : `unknown operation answered ${status}`
    seen.add(`${operation} ${status}`)
    const applies = ({ on }: Divergence): boolean => on === 'all' || on.includes(operation)
    const { method, path } = operations[operation]
    const pointer = ['paths', documentPath(path), method.toLowerCase(), 'responses', String(status)]
    const response = pointer.reduce((node, key) => node?.[key], document)
    if (response === undefined) {
      const divergence = divergences.find((entry) => entry.status === status && applies(entry))
      if (divergence === undefined) return `${status} is not documented`
      used.add(divergence)
    } else if (response.content === undefined && response.$ref === undefined) {
      return body.length === 0 && contentType === undefined ? undefined : 'the body must be empty'
    }
    if (contentType !== 'application/json') return `content-type is ${contentType}`
    const value = JSON.parse(Buffer.from(body).toString())
    if (response === undefined) {
      const keys = Object.keys(value).join()
      return keys === 'error' && typeof value.error === 'string' ? undefined : `the body has ${keys}`
    }
    for (const divergence of divergences) {
      if (divergence.extra === undefined || !applies(divergence) || !(divergence.extra in value)) continue
      used.add(divergence)
      delete value[divergence.extra]
    }
    const at = response.$ref?.slice(2).split('/') ?? pointer
    const validate = compile(ajv, [...at, 'content', 'application/json', 'schema'])
    return validate(value) ? undefined : ajv.errorsText(validate.errors)
  }
  return {
    violations,
    seen,
    used,
    check: (exchange) => {
      // The test itself wrote such an answer.
      if (exchange.record.faults.includes('alter')) return
      const problem = findProblem(exchange)
      const { method, path } = exchange.record
      if (problem !== undefined) violations.push(`${method} ${path} ${exchange.status}: ${problem}`)
    },
  }
}

function documentPath(path: string): string {
  const names = { organization: 'organizationSlug', database: 'databaseName', group: 'groupName' }
  return path
    .replaceAll(/:(\w+)/g, (_, name: string) => `{${names[name as keyof typeof names] ?? name}}`)
    .replace('{instance}', '{instanceName}')
}

function compile(ajv: Ajv, pointer: readonly string[]): ValidateFunction {
  const escaped = pointer.map((key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1')))
  return ajv.compile({ $ref: `turso#/${escaped.join('/')}` })
}

/** The document with every object closed: what it lists must be there, and nothing else may be. */
function closed(node: any): any {
  if (Array.isArray(node)) return node.map(closed)
  if (typeof node !== 'object' || node === null) return node
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]))
  if (node.type !== 'object' || node.properties === undefined) return copy
  return { ...copy, required: Object.keys(node.properties), additionalProperties: false }
}
