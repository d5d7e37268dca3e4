import { deepEqual, equal, ok } from 'node:assert/strict'
import type { Row } from '@tenantry/multi-tenancy/provider'
import type { Oracle } from '../harness.ts'

/** The part of a case's context that reads identity stamps. */
interface StampReader {
  readonly oracle: Oracle
  getDatabaseName(tenantId: string): Promise<string>
}

/** Returns the identity stamp that the oracle reads from a database. */
export async function readStamp({ oracle }: Pick<StampReader, 'oracle'>, name: string): Promise<Row> {
  const rows = await oracle.query(
    name,
    'SELECT tenant_id, generation, uid, state, dirty FROM tenantry_identity',
  )
  equal(rows.length, 1, `${name} has ${rows.length} identity stamps`)
  return rows[0] ?? {}
}

/** Asserts that the tenant has a database with its own stamp, which is ready and not dirty. Returns the stamp. */
export async function assertReady(
  t: StampReader,
  tenantId: string,
  description: string = tenantId,
): Promise<Row> {
  const name = await t.getDatabaseName(tenantId)
  const names = await t.oracle.listDatabases(name)
  ok(names.includes(name), `${description}: the oracle finds no database ${name}`)
  const stamp = await readStamp(t, name)
  deepEqual(
    { tenant: stamp.tenant_id, generation: Number(stamp.generation), state: stamp.state, dirty: stamp.dirty },
    { tenant: tenantId, generation: 1, state: 'ready', dirty: null },
    description,
  )
  ok(String(stamp.uid).length >= 16, `${description}: the stamp has no uid`)
  return stamp
}

/** Asserts that the oracle finds no database of the tenant. */
export async function assertAbsent(
  t: StampReader,
  tenantId: string,
  description: string = tenantId,
): Promise<void> {
  const name = await t.getDatabaseName(tenantId)
  ok(!(await t.oracle.listDatabases(name)).includes(name), `${description}: database ${name} still exists`)
}
