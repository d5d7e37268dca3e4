import type { InValue, ResultSet } from '@libsql/client/web'

/**
 * A value as libSQL should bind it. The client sends every `number` as a float, which is visible in a column without a
 * type, in a TEXT column and in `typeof(?)`. A whole number is sent as a bigint, so that it stays an INTEGER.
 *
 * @see https://github.com/tursodatabase/libsql-client-ts/blob/main/packages/libsql-client/src/sqlite3.ts
 */
export function toBound(value: unknown): InValue {
  if (typeof value === 'boolean') return value ? 1n : 0n
  // An integer cannot be -0.
  if (typeof value === 'number' && Number.isSafeInteger(value) && !Object.is(value, -0)) return BigInt(value)
  return value as InValue
}

/** The rows as plain objects. Of columns with the same name the last one counts; blobs become `Uint8Array`s. */
export function toRows({ columns, rows }: ResultSet): Record<string, unknown>[] {
  return rows.map((row) => {
    const plain: Record<string, unknown> = {}
    for (const [index, column] of columns.entries()) {
      const value: unknown = row[index]
      setColumn(plain, column, value instanceof ArrayBuffer ? new Uint8Array(value) : value)
    }
    return plain
  })
}

/** The rows for the core, which reads integers as numbers in every `intMode`. */
export function toCoreRows(result: ResultSet): Record<string, unknown>[] {
  return toRows(result).map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([column, value]) => {
        const isSafe = typeof value === 'bigint' && Number.isSafeInteger(Number(value))
        return [column, isSafe ? Number(value) : value]
      }),
    ),
  )
}

/** An assignment with which `__proto__` becomes an ordinary column too. */
function setColumn(row: Record<string, unknown>, column: string, value: unknown): void {
  if (column === '__proto__') {
    Object.defineProperty(row, column, { value, enumerable: true, configurable: true, writable: true })
  } else row[column] = value
}
