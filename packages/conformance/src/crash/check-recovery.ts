import { deepEqual, equal, ok } from 'node:assert/strict'
import type { Oracle } from '../harness.ts'
import { runConcurrently } from '../support/run-concurrently.ts'
import { withoutPauses } from './pause-points.ts'
import {
  type CrashOperation,
  type CrashRun,
  createTenantProcess,
  LEASE,
  performOperation,
  repairDirtyTenant,
  type TenantProcess,
} from './tenant-process.ts'

/** Tenants that one process works on concurrently. One after another, it would mostly wait for replies. */
export const CONCURRENCY = 4

export interface RecoveryOptions {
  readonly run: CrashRun
  readonly oracle: Oracle
  readonly operation: CrashOperation
  /** The point at which each tenant's process died, by tenant id. */
  readonly points: ReadonlyMap<string, string>
}

/**
 * Recovers every tenant in a new process, after every lease has expired, and asserts for each: one record and one
 * database or neither, no operation under way, and the same operation succeeds when it is repeated.
 */
export async function checkRecovery({ run, oracle, operation, points }: RecoveryOptions): Promise<void> {
  const survivor = await createTenantProcess(run, withoutPauses, {
    clockOffset: 2 * LEASE,
    newer: operation === 'migrate',
  })
  try {
    await expireMigrationLocks(survivor, oracle, run, points.keys())
    // As in a fleet: every process sweeps, and each operation is taken over by one of them.
    const sweeps = Array.from({ length: CONCURRENCY }, () => survivor.lifecycle.sweep({ limit: 1_000 }))
    await Promise.all(sweeps)
    await runConcurrently(points, CONCURRENCY, async ([id, point]) => {
      await repairDirtyTenant(survivor, id, `${run.prefix}${id}`, oracle)
      await checkTenant(survivor, { run, oracle, operation, id, message: `killed ${point}` })
    })
    deepEqual(await listRunningOperations(survivor, points.keys()), [])
  } finally {
    await survivor.close()
  }
}

interface TenantCheck {
  readonly run: CrashRun
  readonly oracle: Oracle
  readonly operation: CrashOperation
  readonly id: string
  readonly message: string
}

async function checkTenant(
  survivor: TenantProcess,
  { run, oracle, operation, id, message }: TenantCheck,
): Promise<void> {
  const { lifecycle } = survivor
  const name = `${run.prefix}${id}`
  const record = await lifecycle.get(id).catch(() => undefined)
  const names = (await oracle.listDatabases(name)).filter((listed) => listed === name)
  equal(record?.operation, undefined, `${message}: an operation is still under way`)
  equal(names.length, record === undefined ? 0 : 1, `${message}: databases`)
  if (record !== undefined) equal(record.state, 'active', message)
  await performOperation(survivor, operation, id)
  const repeated = await lifecycle.get(id).catch(() => undefined)
  if (operation === 'deprovision') {
    equal(repeated, undefined, message)
    return
  }
  equal(repeated?.state, 'active', message)
  const { db } = await survivor.factory.getAdapters(id)
  const notes = await db.selectFrom('notes').select(['id', 'body']).execute()
  deepEqual(
    notes.map((note) => ({ ...note })),
    [{ id, body: `of ${id}` }],
    message,
  )
  const migrations = await db.selectFrom('tenantry_migrations').select('state').execute()
  equal(migrations.length, operation === 'migrate' ? 3 : 1, message)
  ok(
    migrations.every(({ state }) => state === 'done'),
    message,
  )
}

/** A migration lock expires by the database's clock, which a test cannot move. */
async function expireMigrationLocks(
  { provider }: TenantProcess,
  oracle: Oracle,
  { prefix }: CrashRun,
  ids: Iterable<string>,
): Promise<void> {
  if (provider.capabilities.transactionalDdl) return
  for (const id of ids)
    await oracle.execute(`${prefix}${id}`, 'UPDATE tenantry_lock SET expires_at = 0').catch(() => {})
}

async function listRunningOperations({ lifecycle }: TenantProcess, ids: Iterable<string>): Promise<string[]> {
  const running: string[] = []
  for (const id of ids) {
    const { operations } = await lifecycle.operations(id, { limit: 100 }).catch(() => ({ operations: [] }))
    for (const { state, kind } of operations) if (state === 'running') running.push(`${id}: ${kind}`)
  }
  return running
}
