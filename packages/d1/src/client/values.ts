import { tokenizeSql } from '@tenantry/multi-tenancy/provider'

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
  const isBytes = (value: unknown): boolean => value instanceof Uint8Array
  if (!params.some(isBytes)) return { sql, params }
  return {
    sql: wrapPlaceholders(sql, params, (value) => (isBytes(value) ? 'unhex(?)' : undefined)),
    params: params.map((value) => (value instanceof Uint8Array ? toHex(value) : value)),
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
  if (value instanceof Uint8Array) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  // A binding turns each element of any other view into one byte.
  if (ArrayBuffer.isView(value))
    return Uint8Array.from(Array.from(value as Iterable<number> & ArrayBufferView))
  if (Array.isArray(value) && value.every((item) => typeof item === 'number' && item >= 0 && item < 256)) {
    return Uint8Array.from(value)
  }
  const message = `Type '${typeof value}' not supported for value '${String(value)}'`
  throw new Error(`D1_TYPE_ERROR: ${message}`, { cause: new Error(message) })
}

/** Replaces the placeholders of some values by an expression, in which `?` stands for the placeholder. */
function wrapPlaceholders(
  sql: string,
  params: readonly unknown[],
  wrap: (value: unknown) => string | undefined,
): string {
  const positions = new Map<string, number>()
  let largest = 0
  /** By SQLite's rules: `?` and a new name take the next number after the largest so far. */
  function getPosition(placeholder: string): number {
    const position =
      positions.get(placeholder) ?? (Number(/^\?(\d+)$/.exec(placeholder)?.[1] ?? 0) || largest + 1)
    largest = Math.max(largest, position)
    if (placeholder !== '?') positions.set(placeholder, position)
    return position
  }
  return Array.from(tokenizeSql(sql, 'sqlite'))
    .map(({ kind, text }) => {
      if (kind !== 'variable') return text
      return wrap(params[getPosition(text) - 1])?.replace('?', () => text) ?? text
    })
    .join('')
}

function isSafeInteger(value: bigint): boolean {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
}

function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0')
  return hex
}
