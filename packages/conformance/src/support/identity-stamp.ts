import { deepEqual, equal, ok } from 'node:assert/strict'
import type { Row } from '@tenantry/multi-tenancy'
import type { ConformanceContext } from '../context.ts'

/** The identity stamp as the oracle reads it from a database. */
export async function stampOf({ oracle }: ConformanceContext, name: string): Promise<Row> {
  const rows = await oracle.query(
    name,
    'SELECT tenant_id, generation, uid, state, dirty FROM tenantry_identity',
  )
  equal(rows.length, 1, `${name} has ${rows.length} identity stamps`)
  return rows[0] ?? {}
}

/** The oracle sees exactly one database for the tenant, stamped as its own, complete and clean. */
export async function assertReady(
  t: ConformanceContext,
  tenantId: string,
  what: string = tenantId,
): Promise<Row> {
  const name = await t.nameOf(tenantId)
  const names = await t.oracle.databases(name)
  ok(names.includes(name), `${what}: the oracle sees no database ${name}`)
  const stamp = await stampOf(t, name)
  deepEqual(
    { tenant: stamp.tenant_id, generation: Number(stamp.generation), state: stamp.state, dirty: stamp.dirty },
    { tenant: tenantId, generation: 1, state: 'ready', dirty: null },
    what,
  )
  ok(String(stamp.uid).length >= 16, `${what}: the stamp has no uid`)
  return stamp
}

/** The oracle sees no database for the tenant. */
export async function assertAbsent(
  t: ConformanceContext,
  tenantId: string,
  what: string = tenantId,
): Promise<void> {
  const name = await t.nameOf(tenantId)
  ok(!(await t.oracle.databases(name)).includes(name), `${what}: the database is still there`)
}
