import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { operations } from '../../src/cloudflare/operations.ts'
import type { ApiOperation, CloudflareExchange } from '../../src/index.ts'

/** Where the emulator answers what Cloudflare's OpenAPI document does not have; all else must match it. */
export const divergences: readonly Divergence[] = [
  { on: 'all', status: 500, reason: 'no 5xx is documented; observed live with code 7500' },
  { on: 'all', status: 501, reason: 'not emulated; 501 so that no test mistakes it for a 404' },
  { on: ['databases.create'], extra: 'created_in_region', reason: 'the official command line prints it' },
  { on: ['databases.get'], extra: 'running_in_region', reason: 'the official command line prints it' },
  {
    on: ['databases.query', 'databases.raw', 'databases.import'],
    extra: 'served_by',
    reason: 'observed live, and in the types of the binding',
  },
  {
    on: ['databases.query', 'databases.raw', 'databases.import'],
    extra: 'total_attempts',
    reason: 'observed live, and in the types of the binding',
  },
]

interface Divergence {
  readonly on: readonly ApiOperation[] | 'all'
  /** A status that the document does not have; its body is a refusal like every other. */
  readonly status?: number
  /** A property that the document does not have. */
  readonly extra?: string
  readonly reason: string
}

/** The vendor's OpenAPI document, which lies beside the checkout. */
export const documentFile: string = fileURLToPath(
  new URL('../../../../../shared/provider-apis/cloudflare-d1.openapi.json', import.meta.url),
)

/** The document; `undefined` where it is not at hand. */
export const openApi: any = existsSync(documentFile) ? read() : undefined

/** The document, with the schemas that are narrower than the service widened. */
function read(): any {
  const document = JSON.parse(readFileSync(documentFile, 'utf8'))
  const cells = document.components.schemas['d1_raw-result-response'].properties.results.properties.rows.items
  // Real rows hold NULL, and bytes as a list of numbers.
  cells.items = {}
  // The text of a secret is write-only, and yet required.
  const secret = document.components.schemas.workers_binding_kind_secret_text
  secret.required = secret.required.filter((name: string) => name !== 'text')
  return document
}

/** Checks exchanges against the document. */
export interface Contract {
  /** Everything that did not match. */
  readonly violations: string[]
  /** The operations and statuses seen, such as `databases.create 200`. */
  readonly seen: Set<string>
  /** The divergences that were needed. */
  readonly used: Set<Divergence>
  check(exchange: CloudflareExchange): void
}

/** A contract over the vendor's document. */
export function createContract(document: any): Contract {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })
  ajv.addSchema(document, 'cloudflare')
  const violations: string[] = []
  const seen = new Set<string>()
  const used = new Set<Divergence>()

  const findProblem = ({ record, status, contentType, body }: CloudflareExchange): string | undefined => {
    const operation = record.operation as ApiOperation | undefined
    if (operation === undefined) return status === 501 ? undefined : `unknown operation answered ${status}`
    if (operation === 'graphql') return undefined
    seen.add(`${operation} ${status}`)
    const applies = ({ on }: Divergence): boolean => on === 'all' || on.includes(operation)
    const { method, path } = operations[operation]
    const responses = document.paths[documentPath(path)]?.[method.toLowerCase()]?.responses
    const key = [String(status), `${String(status)[0]}XX`, `${String(status)[0]}xx`].find(
      (each) => responses?.[each],
    )
    if (contentType !== 'application/json') return `content-type is ${contentType}`
    const value = JSON.parse(Buffer.from(body).toString())
    if (key === undefined) {
      const divergence = divergences.find((entry) => entry.status === status && applies(entry))
      if (divergence === undefined) return `${status} is not documented`
      used.add(divergence)
      return isRefusal(value) ? undefined : 'the body is not a refusal'
    }
    const pointer = ['paths', documentPath(path), method.toLowerCase(), 'responses', key]
    const at = responses[key].$ref?.slice(2).split('/') ?? pointer
    const schemaAt = [...at, 'content', 'application/json', 'schema']
    const schema = schemaAt.reduce((node, step) => node?.[step], document)
    if (schema === undefined) return undefined
    const extra = unknownKeys(document, value, [schema])
      .filter((name) => {
        const divergence = divergences.find((entry) => entry.extra === name && applies(entry))
        if (divergence !== undefined) used.add(divergence)
        return divergence === undefined
      })
      .join()
    if (extra !== '') return `undocumented properties: ${extra}`
    const escaped = schemaAt.map((step) =>
      encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1')),
    )
    const validate = ajv.compile({ $ref: `cloudflare#/${escaped.join('/')}` })
    return validate(value) ? undefined : ajv.errorsText(validate.errors)
  }
  return {
    violations,
    seen,
    used,
    check: (exchange) => {
      // The test itself wrote such an answer.
      const { faults, method, path } = exchange.record
      if (['alter', 'gatewayTimeout'].some((name) => faults.includes(name))) return
      const problem = findProblem(exchange)
      if (problem !== undefined) violations.push(`${method} ${path} ${exchange.status}: ${problem}`)
    },
  }
}

function isRefusal(value: any): boolean {
  const [error] = value.errors ?? []
  return (
    value.success === false && value.result === null && Number.isInteger(error?.code) && error.code >= 1000
  )
}

function documentPath(path: string): string {
  const names: Record<string, string> = {
    ...{ account: 'account_id', database: 'database_id' },
    ...{ namespace: 'dispatch_namespace', script: 'script_name' },
  }
  return path.replaceAll(/:(\w+)/g, (_, name: string) => `{${names[name] ?? name}}`)
}

/** Properties that no branch of any of the schemas knows. Free-form objects know all. */
function unknownKeys(document: any, value: any, schemas: readonly any[]): string[] {
  const branches = schemas.flatMap((schema) => listBranches(document, schema))
  if (Array.isArray(value)) {
    const items = branches.flatMap(({ items }) => items ?? [])
    return items.length === 0 ? [] : value.flatMap((item) => unknownKeys(document, item, items))
  }
  if (typeof value !== 'object' || value === null) return []
  const known = branches.filter(({ properties }) => properties !== undefined)
  if (known.length === 0) return []
  return Object.entries(value).flatMap(([key, inner]) => {
    const values = known.flatMap(({ properties }) => (key in properties ? [properties[key]] : []))
    return values.length === 0 ? [key] : unknownKeys(document, inner, values)
  })
}

function listBranches(document: any, schema: any): any[] {
  if (schema?.$ref !== undefined) {
    const target = schema.$ref.slice(2).split('/')
    return listBranches(
      document,
      target.reduce((node: any, key: string) => node?.[key], document),
    )
  }
  const inner = ['allOf', 'oneOf', 'anyOf'].flatMap((key) => schema?.[key] ?? [])
  return [schema, ...inner.flatMap((each) => listBranches(document, each))]
}
