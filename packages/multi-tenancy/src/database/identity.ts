import { notFound, TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { ExpectedIdentity, Identity, Stamp, StampState } from '../types/identity.ts'
import type { Dialect, Row, Statement } from '../types/provider.ts'
import { IDENTITY_TABLE, LOCK_TABLE, MIGRATIONS_TABLE, NOW, statement, TEXT_KEY } from '../util/dialect.ts'

type Query = (statement: Statement) => Promise<Row[]>

const COLUMNS = 'tenant_id, generation, uid, state, dirty'

/** Creates the table and this row. Fails where a row exists: the first stamp wins, and nothing overwrites it. */
export function stampStatements(dialect: Dialect, { tenantId, generation, uid }: Identity): Statement[] {
  const key = TEXT_KEY[dialect]
  return [
    {
      sql:
        `CREATE TABLE IF NOT EXISTS ${IDENTITY_TABLE} (slot INTEGER NOT NULL PRIMARY KEY CHECK (slot = 1), ` +
        `tenant_id ${key} NOT NULL, generation INTEGER NOT NULL, uid ${key} NOT NULL, ` +
        `state ${key} NOT NULL, dirty ${key})`,
    },
    statement(
      dialect,
      `INSERT INTO ${IDENTITY_TABLE} (slot, ${COLUMNS}) VALUES (1, ?, ?, ?, 'provisioning', NULL)`,
      tenantId,
      generation,
      uid,
    ),
  ]
}

/** Sets the state of exactly this database's stamp; to `ready` only unless a deletion has begun. */
export function stampStateStatement(dialect: Dialect, uid: string, state: StampState): Statement {
  const guard = state === 'ready' ? " AND state <> 'deprovisioning'" : ''
  return statement(
    dialect,
    `UPDATE ${IDENTITY_TABLE} SET state = ? WHERE slot = 1 AND uid = ?${guard}`,
    state,
    uid,
  )
}

/**
 * The stamp, or `undefined` where a database has none. Costs one query, two where the table is missing or a journaled
 * migration was begun and is not done.
 */
export async function readStamp(dialect: Dialect, query: Query): Promise<Stamp | undefined> {
  const read = (more = ''): Promise<Row[]> =>
    query({ sql: `SELECT ${COLUMNS}${more} FROM ${IDENTITY_TABLE}` })
  let [row] = await read().catch(async (): Promise<Row[]> => {
    if ((await countTables(dialect, query, '=')) === 0) return []
    // The table exists: it was created concurrently, or the second read fails and says why.
    return read()
  })
  // Under way, and not left half applied, while its runner holds the lock by the database's clock: it renews its lease
  // as long as it lives, and gives it up when a statement fails. The mark is read once more with that, since the
  // migration may come to its end in between.
  if (row?.dirty != null)
    [row] = await read(
      `, (SELECT 1 FROM ${LOCK_TABLE} JOIN ${MIGRATIONS_TABLE} ON attempt = owner ` +
        `WHERE name = dirty AND state <> 'failed' AND expires_at > 1000 * ${NOW[dialect]}) AS live`,
    )
  if (row === undefined) return undefined
  return {
    tenantId: row.tenant_id as TenantId,
    generation: Number(row.generation),
    uid: String(row.uid),
    state: row.state as StampState,
    dirty: row.live ? null : ((row.dirty ?? null) as string | null),
  }
}

/** Whether the database holds no data; an identity table without a row, left by a crash, does not count. */
export async function isEmpty(dialect: Dialect, query: Query): Promise<boolean> {
  return (await countTables(dialect, query, '<>')) === 0
}

/**
 * Compares a stamp with the tenant it should belong to.
 *
 * @throws as `assertOwner`; `tenant_not_ready` for a database without
 * a stamp or still being provisioned; `tenant_not_found` for one being deleted; `migration_dirty`
 */
export function checkStamp(stamp: Stamp | undefined, expected: ExpectedIdentity): Stamp {
  const { tenantId } = expected
  if (stamp !== undefined) assertOwner(stamp, expected)
  // First: while a database is provisioned, each journaled migration marks it dirty until the migration is done.
  if (stamp === undefined || stamp.state === 'provisioning') {
    throw new TenancyError('tenant_not_ready', 'The tenant is still being provisioned', {
      tenantId,
      retryAfter: 2,
    })
  }
  if (stamp.dirty !== null) {
    throw new TenancyError('migration_dirty', `Migration ${stamp.dirty} was left half applied`, { tenantId })
  }
  if (stamp.state !== 'ready') {
    throw notFound(tenantId)
  }
  return stamp
}

/**
 * @throws `wrong_tenant` for another tenant's stamp; `stale_tenant` for this tenant's, but of another
 * incarnation: the database was recreated since it was located
 */
export function assertOwner(stamp: Stamp, expected: ExpectedIdentity): void {
  const { tenantId } = expected
  if (stamp.tenantId !== tenantId) {
    // The message does not name the other tenant: this tenant must not learn its id.
    throw new TenancyError('wrong_tenant', "The database carries another tenant's identity stamp", {
      tenantId,
    })
  }
  const same = stamp.generation === expected.generation && (expected.uid ?? stamp.uid) === stamp.uid
  if (!same)
    throw new TenancyError('stale_tenant', 'The tenant database was recreated since it was located', {
      tenantId,
    })
}

/** How many tables and views there are whose name compares so with the identity table's. */
async function countTables(dialect: Dialect, query: Query, comparison: '=' | '<>'): Promise<number> {
  const rows = await query({
    sql: `SELECT count(*) AS tables FROM ${TABLES[dialect]} ${comparison} '${IDENTITY_TABLE}'`,
  })
  return Number(rows[0]?.tables)
}

/** Always of this database or schema alone; what the service itself keeps there does not count. */
const TABLES: Readonly<Record<Dialect, string>> = {
  sqlite:
    "sqlite_master WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*' AND name NOT GLOB 'libsql_*' " +
    "AND name NOT GLOB '_cf_*' AND name",
  postgres:
    "pg_catalog.pg_class WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p', 'v', 'm', 'f') " +
    'AND relname',
  mysql: 'information_schema.tables WHERE table_schema = DATABASE() AND table_name',
}
