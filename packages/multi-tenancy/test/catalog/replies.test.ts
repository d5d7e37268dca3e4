import { describe, expect, it } from 'vitest'
import { openSqlite as sqlite } from '../../src/memory/index.ts'
import type { OperationError } from '../../src/types/record.ts'
import { createFaultyKysely, type FaultyKysely } from './faulty-kysely.ts'
import { asId, createStores, runningOperation, type Stores, tenantRecord } from './test-stores.ts'

const ACME = { id: asId('acme'), generation: 1 }
const HELD = { id: asId('held'), generation: 1 }
const FAILURE: OperationError = { code: 'internal', message: 'no', step: 'create', operation: 'op' }
const STEP = { operationId: 'op', attempt: 1, position: 9 }
const LATER = 6_000_000_000_000
const OPERATION = runningOperation({ id: 'op', leaseUntil: 4_000_000_000_000 })

/** Every write of the stores, with its result when no statement fails. */
const WRITES: Record<string, (stores: Stores) => Promise<unknown>> = {
  'inserts a tenant': async ({ tenants }) => (await tenants.insert(tenantRecord('new', { uid: 'u' }))).uid,
  'begins an operation': async ({ tenants }) => {
    const guard = { states: ['active'], operation: null, revision: 'r1' } as const
    const operation = runningOperation({ id: 'begun', leaseUntil: LATER })
    const { record, changed } = await tenants.update(ACME, guard, { state: 'suspended', operation })
    return [changed, record.state, record.operation]
  },
  'ends an operation': async ({ tenants }) => {
    const { record, changed } = await tenants.update(HELD, { operation: OPERATION }, { operation: undefined })
    return [changed, record.operation]
  },
  'changes no tenant where the guard does not hold': async ({ tenants }) => {
    const { record, changed } = await tenants.update(ACME, { states: ['failed'] }, { state: 'purged' })
    return [changed, record.state]
  },
  'takes over an operation': async ({ tenants }) => {
    const expired = await tenants.get({ id: asId('expired'), generation: 1 })
    return expired && (await tenants.takeOver(expired, 'new', LATER))?.operation
  },
  'renews a lease': ({ tenants }) => tenants.renewLease(HELD, OPERATION, LATER),
  'renews no lease of another runner': ({ tenants }) =>
    tenants.renewLease(HELD, { ...OPERATION, owner: 'other' }, LATER),
  'records an operation': async ({ tenants, operations }) => {
    const holder = await tenants.get({ id: asId('expired'), generation: 1 })
    if (holder !== undefined) await operations.record(holder, 'k2')
    return (await operations.getByRequest('k2'))?.id
  },
  'records a later attempt of an operation': async ({ operations }) => {
    const operation = { ...OPERATION, attempt: 2 }
    await operations.record(tenantRecord('held', { operation }), undefined)
    return (await operations.get('op'))?.attempt
  },
  'finishes an operation': ({ operations }) => operations.finish('op', FAILURE),
  'begins a step': ({ operations }) => operations.beginStep({ ...STEP, position: 0 }, 'create'),
  'ends a step': ({ operations }) => operations.endStep(STEP, 'succeeded', 'created'),
}

/** The rows of the database, without random values and times. */
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

interface TestStores {
  readonly faults: FaultyKysely
  readonly stores: Stores
}

async function createTestStores(): Promise<TestStores> {
  const faults = createFaultyKysely(sqlite())
  const stores = createStores(faults.db, 'sqlite')
  const { tenants, operations } = stores
  await tenants.insert(tenantRecord('acme', { uid: 'acme', revision: 'r1' }))
  const lockedTenant = await tenants.insert(
    tenantRecord('held', { uid: 'held', revision: 'r1', operation: OPERATION }),
  )
  const expired = runningOperation({ id: 'expired', leaseUntil: 1 })
  await tenants.insert(tenantRecord('expired', { uid: 'expired', revision: 'r1', operation: expired }))
  await operations.record(lockedTenant, 'k1')
  await operations.beginStep(STEP, 'stamp')
  return { faults, stores }
}

describe('a reply that is lost', () => {
  for (const [name, write] of Object.entries(WRITES)) {
    it(`${name} returns the same result and one state when any statement fails before or after it runs`, async () => {
      const calm = await createTestStores()
      calm.faults.arm(Number.POSITIVE_INFINITY, 'before')
      const answer = await write(calm.stores)
      const statements = calm.faults.count()
      const state = await contents(calm.stores)
      // The statements of the second try, too, are tried.
      for (let index = 0; index < statements + 2; index++) {
        for (const mode of ['before', 'after'] as const) {
          const { faults, stores } = await createTestStores()
          faults.arm(index, mode)
          expect(await write(stores), `${mode} ${index}`).toEqual(answer)
          faults.disarm()
          expect(await contents(stores), `${mode} ${index}`).toEqual(state)
        }
      }
    })

    it(`${name} reports a coded error for an unavailable database and leaves no partial state`, async () => {
      const calm = await createTestStores()
      const before = await contents(calm.stores)
      calm.faults.arm(Number.POSITIVE_INFINITY, 'before')
      await write(calm.stores)
      const statements = calm.faults.count()
      const after = await contents(calm.stores)
      for (let index = 0; index < statements; index++) {
        const { faults, stores } = await createTestStores()
        faults.arm(index, 'outage')
        await expect(write(stores), String(index)).rejects.toMatchObject({ code: 'provider_unavailable' })
        faults.disarm()
        expect([before, after], String(index)).toContainEqual(await contents(stores))
      }
    })
  }
})
