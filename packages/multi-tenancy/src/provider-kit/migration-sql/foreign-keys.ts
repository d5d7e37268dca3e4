import { TenancyError } from '../../errors.ts'
import type { MigrationForeignKeys } from '../../types/migration-sql.ts'
import {
  type DroppedTable,
  describeReferences,
  losesRows,
  readTableChange,
  trackForeignKeys,
} from './table-rebuilds.ts'

const PREFIX = 'foreign_key_check: '
const VIOLATION = new RegExp(`${PREFIX}(.* that is not there)`)

/** The foreign keys of SQLite. */
export const foreignKeys: MigrationForeignKeys = {
  // An error of `json_extract` contains its path. A statement has to fail, because nothing is read in a batch before its
  // commit.
  check: {
    sql:
      `SELECT json_extract('{}', '${PREFIX}' || 'row ' || ifnull(rowid, '?') || ' of "' || "table" || ` +
      `'" references a row of "' || parent || '" that is not there') FROM pragma_foreign_key_check() LIMIT 1`,
  },
  findViolation: (message) => VIOLATION.exec(message)?.[1],
  readTables: { sql: "SELECT sql FROM sqlite_master WHERE type = 'table'" },

  async checkRebuilds(pending, canTurnOff, readTables) {
    const drops = pending.some(({ statements = [] }) =>
      statements.some((text) => readTableChange(text)?.kind === 'drop'),
    )
    if (!drops && (canTurnOff || !pending.some(({ foreignKeysOff }) => foreignKeysOff))) return
    const schema = drops ? await readTables() : []
    const tables = trackForeignKeys(schema.map(({ sql }) => String(sql)))
    for (const { name, statements = [], foreignKeysOff } of pending) {
      const dropped = tables.apply(statements)
      if (foreignKeysOff && canTurnOff) continue
      const lost = dropped.find((each) => foreignKeysOff || (each.rebuilt && losesRows(each)))
      if (lost === undefined && !foreignKeysOff) continue
      const code = canTurnOff ? 'config_invalid' : 'not_supported'
      throw new TenancyError(code, describeRefusal({ name, lost, canTurnOff }), { step: name })
    }
  },
}

interface Refusal {
  /** The name of the migration. */
  readonly name: string
  /** The table whose references would lose rows. `undefined` when there is none. */
  readonly lost: DroppedTable | undefined
  /** Whether a migration can turn foreign keys off on this database. */
  readonly canTurnOff: boolean
}

function describeRefusal({ name, lost, canTurnOff }: Refusal): string {
  if (lost === undefined)
    return `Migration ${name} turns foreign keys off, which has no effect here: no other table references those it drops, so leave out PRAGMA foreign_keys`
  return (
    `Migration ${name} rebuilds a table with foreign keys on: DROP TABLE "${lost.table}" would delete rows of ` +
    `${describeReferences(lost)}. ` +
    (canTurnOff
      ? 'Begin it with PRAGMA foreign_keys = OFF'
      : 'Foreign keys cannot be turned off here: copy those tables into new ones that reference the new table, drop them before it, and leave out PRAGMA foreign_keys')
  )
}
