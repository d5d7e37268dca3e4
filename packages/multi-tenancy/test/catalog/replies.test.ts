import { describe, expect, it } from 'vitest'
import { openSqlite as sqlite } from '../../src/memory/index.ts'
import type { OperationError } from '../../src/types/record.ts'
import { createFaultyKysely, type FaultyKysely } from './faulty-kysely.ts'
import { asId, newOperation, type Stores, storesOf, tenantRow } from './test-stores.ts'

const T = asId('acme')
const REF = { id: T, generation: 1 }
const FAILURE: OperationError = { code: 'internal', message: 'no', step: 'create', operation: 'op' }

/** Every write of the stores, and what it answers when all goes well. */
const WRITES: Record<string, (stores: Stores) => Promise<unknown>> = {
  'a tenant written': async ({ tenants }) => (await tenants.insert(tenantRow('new', { uid: 'u' }))).uid,
  'a tenant changed': async ({ tenants }) => {
    const guard = { states: ['active'], operation: null, revision: 'r1' } as const
    const { record, changed } = await tenants.update(REF, guard, { state: 'suspended', operation_id: 'op' })
    return [changed, record.state, record.operation]
  },
  'a tenant changed by nobody': async ({ tenants }) => {
    const { record, changed } = await tenants.update(REF, { states: ['failed'] }, { state: 'purged' })
    return [changed, record.state]
  },
  'an operation written': ({ operations }) =>
    operations.insert(
      newOperation('acme', { id: 'new', leaseUntil: 5_000_000_000_000, request: { key: 'k2', hash: 'h' } }),
    ),
  'a request written again': ({ operations }) =>
    operations.insert(newOperation('acme', { id: 'new', request: { key: 'k1', hash: 'h' } })),
  'an operation taken over': async ({ operations }) => {
    const dead = await operations.get('dead')
    return dead && (await operations.claim(dead, 'new', 5_000_000_000_000))?.attempt
  },
  'a lease prolonged': ({ operations }) => operations.renew('op', 'owner', 6_000_000_000_000),
  'a lost lease prolonged': ({ operations }) => operations.renew('op', 'thief', 6_000_000_000_000),
  'an operation held': async ({ operations }) =>
    (await operations.hold('op', 'owner', 6_000_000_000_000))?.state,
  'a withdrawn operation held': async ({ operations }) =>
    (await operations.hold('withdrawn', 'owner', 6_000_000_000_000))?.state,
  'an operation finished': ({ operations }) => operations.finish('op', FAILURE),
  'an operation withdrawn': ({ operations }) => operations.withdraw('op'),
  'an operation removed': ({ operations }) => operations.remove('op'),
  'a step begun': ({ operations }) => operations.beginStep('op', 1, 0, 'create'),
  'a step ended': ({ operations }) => operations.endStep('op', 1, 9, 'succeeded', 'made'),
}

/** What the database holds, but for what is random or the time. */
async function contents({ db }: Stores): Promise<unknown> {
  const tenants = await db.selectFrom('tenantry_tenants').selectAll().orderBy('tenant_id').execute()
  const operations = await db.selectFrom('tenantry_operations').selectAll().orderBy('id').execute()
  const steps = await db.selectFrom('tenantry_operation_steps').selectAll().orderBy('position').execute()
  return {
    tenants: tenants.map(({ revision, created_at, updated_at, ready_at, ...row }) => ({
      ...row,
      renewed: revision !== 'r1',
    })),
    operations: operations.map(({ created_at, finished_at, ...row }) => ({
      ...row,
      finished: finished_at !== null,
    })),
    steps: steps.map(({ started_at, finished_at, ...row }) => ({ ...row, finished: finished_at !== null })),
  }
}

interface World {
  readonly faults: FaultyKysely
  readonly stores: Stores
}

async function createWorld(): Promise<World> {
  const faults = createFaultyKysely(sqlite())
  const stores = storesOf(faults.db, 'sqlite')
  const { tenants, operations } = stores
  await tenants.insert(tenantRow('acme', { uid: 'acme', revision: 'r1' }))
  const leaseUntil = 4_000_000_000_000
  await operations.insert(newOperation('acme', { id: 'op', leaseUntil, request: { key: 'k1', hash: 'h' } }))
  await operations.insert(newOperation('acme', { id: 'dead', leaseUntil: 1 }))
  await operations.insert(newOperation('acme', { id: 'withdrawn', leaseUntil }))
  await operations.withdraw('withdrawn')
  await operations.beginStep('op', 1, 9, 'stamp')
  return { faults, stores }
}

describe('a reply that is lost', () => {
  for (const [name, write] of Object.entries(WRITES)) {
    it(`${name} returns the same result and one state when any statement fails before or after it runs`, async () => {
      const calm = await createWorld()
      calm.faults.arm(Number.POSITIVE_INFINITY, 'before')
      const answer = await write(calm.stores)
      const statements = calm.faults.count()
      const state = await contents(calm.stores)
      // The statements of the second try, too, are tried.
      for (let index = 0; index < statements + 2; index++) {
        for (const mode of ['before', 'after'] as const) {
          const { faults, stores } = await createWorld()
          faults.arm(index, mode)
          expect(await write(stores), `${mode} ${index}`).toEqual(answer)
          faults.disarm()
          expect(await contents(stores), `${mode} ${index}`).toEqual(state)
        }
      }
    })

    it(`${name} reports a coded error for an unavailable database and leaves no partial state`, async () => {
      const calm = await createWorld()
      const before = await contents(calm.stores)
      calm.faults.arm(Number.POSITIVE_INFINITY, 'before')
      await write(calm.stores)
      const statements = calm.faults.count()
      const after = await contents(calm.stores)
      for (let index = 0; index < statements; index++) {
        const { faults, stores } = await createWorld()
        faults.arm(index, 'outage')
        await expect(write(stores), String(index)).rejects.toMatchObject({ code: 'provider_unavailable' })
        faults.disarm()
        expect([before, after], String(index)).toContainEqual(await contents(stores))
      }
    })
  }
})
