import { TenancyError } from '@tenantry/multi-tenancy'
import { tokenize } from './rest-sql.ts'

/** SQL and its values in a form the next hop takes. */
export interface BoundStatement {
  readonly sql: string
  readonly params: readonly unknown[]
}

/**
 * A statement of ours as a D1 binding takes it: D1 has no bigint, so one that a `number` cannot hold goes as text
 * and is made an integer by SQLite.
 */
export function toBindable(sql: string, params: readonly unknown[]): BoundStatement {
  const values = params.map((value) =>
    typeof value === 'bigint' && isSafe(value)
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

/** A bound statement as the REST API takes it: JSON has no bytes, so they go as hex and SQLite reads them back. */
export function toRestParams({ sql, params }: BoundStatement): BoundStatement {
  if (!params.some(isBytes)) return { sql, params }
  return {
    sql: wrapPlaceholders(sql, params, (value) => (isBytes(value) ? 'unhex(?)' : undefined)),
    params: params.map((value) => (isBytes(value) ? hexOf(bytesOf(value)) : value)),
  }
}

/**
 * A value as D1's own binding sees it, or its refusal. Bytes become a `Uint8Array`, whatever held them.
 *
 * @throws Error with D1's own message for what it does not bind
 */
export function checkValue(value: unknown): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  if (typeof value === 'boolean') return Number(value)
  if (isBytes(value)) return bytesOf(value)
  if (Array.isArray(value) && value.every((item) => Number.isInteger(item) && item >= 0 && item < 256)) {
    return Uint8Array.from(value)
  }
  const type = typeof value
  throw new Error(`D1_TYPE_ERROR: Type '${type}' not supported for value '${String(value)}'`)
}

/**
 * Puts an expression in place of some `?`. Only where a value cannot go as it is.
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
      throw new TenancyError('not_supported', 'Bytes and large integers need plain ? placeholders here')
    })
    .join('')
}

function isSafe(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
}

function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value)
}

function bytesOf(value: ArrayBuffer | ArrayBufferView): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
}

function hexOf(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0')
  return hex
}
