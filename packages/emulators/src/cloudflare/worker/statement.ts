import type { DurableObjectContext, SqlCell } from 'cloudflare:workers'
import type { WireCell, WireResult, WireStatement } from './wire.ts'

type Sql = DurableObjectContext['storage']['sql']

/** D1's limit for one text or blob, in bytes. */
const largestValue = 2_000_000

/**
 * Runs one statement.
 *
 * @throws Error in SQLite's words
 */
export function runStatement(engine: Sql, { sql, params }: WireStatement): WireResult {
  const bindings = (params ?? []).map(toBinding)
  const before = counters(engine)
  const started = performance.now()
  const cursor = engine.exec(sql, ...bindings)
  const rows = Array.from(cursor.raw(), (row) => row.map(toWire))
  const duration = performance.now() - started
  const after = counters(engine)
  const changes = after.changes - before.changes
  return {
    columns: cursor.columnNames,
    rows,
    meta: {
      duration,
      changes,
      last_row_id: after.lastRowId,
      changed_db: changes > 0 || after.lastRowId !== before.lastRowId || after.size !== before.size,
      size_after: after.size,
      rows_read: cursor.rowsRead,
      rows_written: cursor.rowsWritten,
    },
  }
}

function counters(engine: Sql): { changes: number; lastRowId: number; size: number } {
  const [row] = [...engine.exec('SELECT total_changes(), last_insert_rowid()').raw()]
  return { changes: Number(row?.[0]), lastRowId: Number(row?.[1]), size: engine.databaseSize }
}

function toBinding(cell: WireCell): unknown {
  if (Array.isArray(cell)) return checkSize(new Uint8Array(cell)).buffer
  if (typeof cell === 'boolean') return cell ? 1 : 0
  if (typeof cell === 'string') checkSize(new TextEncoder().encode(cell))
  return cell
}

function checkSize(bytes: Uint8Array): Uint8Array {
  if (bytes.length > largestValue) throw new Error('string or blob too big: SQLITE_TOOBIG')
  return bytes
}

function toWire(cell: SqlCell): WireCell {
  return cell instanceof ArrayBuffer ? Array.from(new Uint8Array(cell)) : cell
}
