import { TenancyError } from '@tenantry/multi-tenancy/provider'
import { tokenize } from './rest-sql.ts'

/** A statement with values in a form that the next hop accepts. */
export interface BoundStatement {
  readonly sql: string
  readonly params: readonly unknown[]
}

/**
 * Converts a statement of the core or of Kysely for a D1 binding. D1 has no bigint: one that a `number` cannot hold is
 * sent as text, and SQLite casts it to an integer.
 */
export function toBindable(sql: string, params: readonly unknown[]): BoundStatement {
  const values = params.map((value) =>
    typeof value === 'bigint' && isSafeInteger(value)
      ? Number(value)
      : typeof value === 'boolean'
        ? Number(value)
        : value,
  )
  if (!values.some((value) => typeof value === 'bigint')) return { sql, params: values }
  return {
    sql: wrapPlaceholders(sql, values, (value) =>
      typeof value === 'bigint' ? 'CAST(? AS INTEGER)' : undefined,
    ),
    params: values.map((value) => (typeof value === 'bigint' ? String(value) : value)),
  }
}

/** Converts a bound statement for the REST API. JSON has no bytes: they are sent as hex text, and SQLite decodes it. */
export function toRestParams({ sql, params }: BoundStatement): BoundStatement {
  if (!params.some(isBytes)) return { sql, params }
  return {
    sql: wrapPlaceholders(sql, params, (value) => (isBytes(value) ? 'unhex(?)' : undefined)),
    params: params.map((value) => (isBytes(value) ? toHex(toBytes(value)) : value)),
  }
}

/**
 * Converts a value as D1's binding does. Bytes become a `Uint8Array`.
 *
 * @throws Error with D1's own message for a value that D1 does not bind
 */
export function toD1Value(value: unknown): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  if (typeof value === 'boolean') return Number(value)
  if (isBytes(value)) return toBytes(value)
  if (Array.isArray(value) && value.every((item) => Number.isInteger(item) && item >= 0 && item < 256)) {
    return Uint8Array.from(value)
  }
  const type = typeof value
  throw new Error(`D1_TYPE_ERROR: Type '${type}' not supported for value '${String(value)}'`)
}

/**
 * Replaces the placeholders of some values by an expression.
 *
 * @throws `not_supported` for numbered and named placeholders
 */
function wrapPlaceholders(
  sql: string,
  params: readonly unknown[],
  wrap: (value: unknown) => string | undefined,
): string {
  let index = 0
  return tokenize(sql)
    .map(({ kind, value }) => {
      if (kind !== 'placeholder') return value
      if (value === '?') return wrap(params[index++]) ?? value
      throw new TenancyError(
        'not_supported',
        'Bytes over REST and integers beyond 2^53 need plain ? placeholders',
      )
    })
    .join('')
}

function isSafeInteger(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
}

function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value)
}

function toBytes(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0')
  return hex
}
