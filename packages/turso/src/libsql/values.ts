import type { InValue, ResultSet } from '@libsql/client/web'

/**
 * A value as libSQL should bind it. The client sends every `number` as a float, which a column without a type, a
 * TEXT column or `typeof(?)` would show; a whole number goes as a bigint so that it stays an INTEGER.
 *
 * @see https://github.com/tursodatabase/libsql-client-ts/blob/main/packages/libsql-client/src/sqlite3.ts
 */
export function toBound(value: unknown): InValue {
  if (typeof value === 'boolean') return value ? 1n : 0n
  // -0 has no integer form.
  if (typeof value === 'number' && Number.isSafeInteger(value) && !Object.is(value, -0)) return BigInt(value)
  return value as InValue
}

/** The rows as plain objects; of columns with one name the last wins; blobs are `Uint8Array`s. */
export function toRows({ columns, rows }: ResultSet): Record<string, unknown>[] {
  return rows.map((row) => {
    const plain: Record<string, unknown> = {}
    for (const [index, column] of columns.entries()) {
      const value: unknown = row[index]
      define(plain, column, value instanceof ArrayBuffer ? new Uint8Array(value) : value)
    }
    return plain
  })
}

/** As an assignment, but `__proto__` too becomes an ordinary column. */
function define(row: Record<string, unknown>, column: string, value: unknown): void {
  if (column === '__proto__') {
    Object.defineProperty(row, column, { value, enumerable: true, configurable: true, writable: true })
  } else row[column] = value
}
