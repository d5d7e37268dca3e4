import { invalidProperty } from './envelope.ts'
import type { WireCell, WireStatement } from './worker/wire.ts'

/** What may stand between two statements and inside one, as far as a splitter has to know. */
const token =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|[A-Za-z_][\w$]*|;|\s+|[\s\S]/g

/**
 * Splits SQL text into statements, as the service's own splitter does on the server, with its habits: a trigger's
 * body is found by `BEGIN` in capitals that a space or a line feed follows, so that lower case and CRLF cut the
 * trigger in two.
 *
 * @see https://github.com/cloudflare/workers-sdk/issues/14991
 * @see https://github.com/cloudflare/workers-sdk/issues/15314
 */
export function splitStatements(sql: string): string[] {
  const statements: string[] = []
  let text = ''
  let empty = true
  let words: string[] = []
  let depth = 0
  const end = (): void => {
    if (!empty) statements.push(text.trim())
    text = ''
    empty = true
    words = []
    depth = 0
  }
  const parts = sql.match(token) ?? []
  for (const [index, part] of parts.entries()) {
    if (part === ';' && depth === 0) {
      end()
      continue
    }
    text += part
    if (/^(?:\s|--|\/\*)/.test(part)) continue
    empty = false
    if (!/^[A-Za-z_]/.test(part)) continue
    if (words.length < 4) words.push(part.toUpperCase())
    const isTrigger = words[0] === 'CREATE' && words.slice(1, 3).includes('TRIGGER')
    if (depth === 0 && isTrigger && part === 'BEGIN' && /^[ \n\t]/.test(parts[index + 1] ?? '')) depth = 1
    else if (depth > 0 && part.toUpperCase() === 'CASE') depth += 1
    else if (depth > 0 && part.toUpperCase() === 'END') depth -= 1
  }
  end()
  return statements
}

/**
 * The statements of a body of `query` or `raw`: one `sql` of any number of statements, or a `batch`.
 *
 * @throws ApiError 400 with 7400 for a body that is neither
 */
export function readStatements(input: Readonly<Record<string, unknown>>): WireStatement[] {
  if (input.batch === undefined) return readOne(input, '')
  if (!Array.isArray(input.batch)) throw invalidProperty('batch', 'Expected array')
  return input.batch.flatMap((item: unknown, index) => {
    if (typeof item !== 'object' || item === null) throw invalidProperty(`batch.${index}`, 'Expected object')
    return readOne(item as Record<string, unknown>, `batch.${index}.`)
  })
}

function readOne({ sql, params }: Readonly<Record<string, unknown>>, at: string): WireStatement[] {
  if (typeof sql !== 'string')
    throw invalidProperty(`${at}sql`, sql === undefined ? 'Required' : 'Expected string')
  const bindings = readParams(params, `${at}params`)
  const statements = splitStatements(sql)
  if (bindings.length > 0 && statements.length > 1) {
    throw invalidProperty(`${at}params`, 'Only one statement can have params')
  }
  return statements.map((text) => ({ sql: text, params: bindings }))
}

function readParams(params: unknown, at: string): WireCell[] {
  if (params === undefined || params === null) return []
  if (!Array.isArray(params)) throw invalidProperty(at, 'Expected array')
  for (const [index, value] of params.entries()) {
    if (!isCell(value)) throw invalidProperty(`${at}.${index}`, 'Invalid input')
  }
  return params as WireCell[]
}

function isCell(value: unknown): boolean {
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) return true
  return Array.isArray(value) && value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)
}
