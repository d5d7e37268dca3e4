import { ok } from 'node:assert/strict'
import { TenancyError, type TenantFactory } from '@tenantry/multi-tenancy'
import { type ConformanceCase, defineCases } from '../case.ts'
import { type Adapters, type ConformanceContext, createSimulatedTime } from '../context.ts'
import { CONCURRENCY_ERRORS } from '../support/concurrency-errors.ts'
import { expectError, expectSuccess } from '../support/expect-error.ts'
import { assertAbsent, assertReady, readStamp } from '../support/identity-stamp.ts'
import { NOTES, readNotes } from '../support/notes.ts'
import { tryEveryCall } from '../support/try-every-call.ts'
import { interceptProvider } from '../wrappers/intercept-provider.ts'

type Factory = TenantFactory<Adapters>

interface Operation {
  readonly name: string
  run(factory: Factory, id: string): Promise<unknown>
}

const provision: Operation = { name: 'a provision', run: (factory, id) => factory.provision(id) }
const deprovision: Operation = { name: 'a deprovision', run: (factory, id) => factory.deprovision(id) }
const migrate: Operation = { name: 'a migration', run: (factory, id) => factory.migrate(id) }
const firstRequest: Operation = { name: 'a first request', run: (factory, id) => factory.getAdapters(id) }
const recreate: Operation = {
  name: 'a deletion and a new provision',
  async run(factory, id) {
    await factory.deprovision(id)
    await factory.provision(id)
  },
}

const MORE = { ...NOTES, '0002_more': 'CREATE TABLE more (id INTEGER)' }

interface Interleaving {
  readonly first: Operation
  readonly second: Operation
  /** Whether the tenant is provisioned before. */
  readonly exists: boolean
  /** Whether both must succeed. Without it they may end in an error that a lost race explains. */
  readonly mustSucceed?: boolean
}

const INTERLEAVINGS: readonly Interleaving[] = [
  { first: provision, second: provision, exists: false, mustSucceed: true },
  { first: provision, second: deprovision, exists: false },
  { first: provision, second: provision, exists: true, mustSucceed: true },
  { first: provision, second: deprovision, exists: true },
  { first: provision, second: recreate, exists: true },
  { first: deprovision, second: provision, exists: true },
  { first: deprovision, second: deprovision, exists: true, mustSucceed: true },
  { first: migrate, second: migrate, exists: true, mustSucceed: true },
  { first: migrate, second: deprovision, exists: true },
  { first: migrate, second: recreate, exists: true },
  { first: firstRequest, second: provision, exists: false },
  { first: firstRequest, second: migrate, exists: true, mustSucceed: true },
  { first: firstRequest, second: deprovision, exists: true },
  { first: firstRequest, second: recreate, exists: true },
]

function describeInterleaving({ first, second, exists }: Interleaving): string {
  const tenant = exists ? 'an existing tenant' : 'a new tenant'
  return `keeps ${tenant} consistent when ${second.name} runs before each call of ${first.name}`
}

/**
 * Before one call of an operation, another process completes a whole operation of its own. Every call takes its turn,
 * so the cases find a race without depending on timing.
 */
export const interleaving: readonly ConformanceCase[] = defineCases(
  'races',
  INTERLEAVINGS.map((interleaved) => ({
    name: describeInterleaving(interleaved),
    async run(t: ConformanceContext) {
      const points = await tryEveryCall((index) => interleave(t, interleaved, index))
      ok(points > 0, 'the operation calls no member')
      t.note(`${describeInterleaving(interleaved)}: ${points} calls`)
    },
  })),
)

/** Runs the second operation before one call of the first. Returns whether the first has a call with this index. */
async function interleave(t: ConformanceContext, interleaved: Interleaving, index: number): Promise<boolean> {
  const { exists, first, second } = interleaved
  const id = `point-${index}`
  const other = t.createFactory({ migrations: MORE, environment: createSimulatedTime() }, t.createProvider())
  if (exists) {
    const creator = t.createFactory({ migrations: NOTES }, t.createProvider())
    await creator.provision(id)
    await creator.close()
  }
  let armed = true
  let calls = 0
  let member: string | undefined
  let inTransaction = false
  let secondError: unknown
  const { provider } = interceptProvider(t.createProvider(), async (call, run) => {
    // Inside a transaction or a connect the first may hold a lock for which the second waits.
    const isFree = !inTransaction && call.member !== 'verify' && call.member !== 'kysely.query'
    if (call.member.startsWith('kysely.'))
      inTransaction = call.member === 'kysely.begin' || call.member === 'kysely.query'
    if (armed && isFree && member === undefined && calls++ === index) {
      member = call.member
      // While the first holds the migration lock, the second would wait for it.
      const wouldWait = second !== deprovision && (await isMigrationLocked(t, id))
      if (!wouldWait) secondError = await getError(second.run(other, id))
    }
    return run()
  })
  const factory = t.createFactory({ migrations: MORE, environment: createSimulatedTime() }, provider)
  const firstError = await getError(first.run(factory, id))
  armed = false
  const where = `${second.name} before call ${index} (${member}) of ${first.name}`
  assertOutcome(`${where}: the first operation`, firstError, interleaved)
  assertOutcome(`${where}: the second operation`, secondError, interleaved)
  await assertServedOrMissing(t, [factory, other], id, where)
  if (member === undefined) return false
  await assertRecoverable(t, id, where)
  // Closed here, because the case has dozens of calls whose connections would add up.
  await Promise.all([factory.close(), other.close()])
  return true
}

function assertOutcome(
  where: string,
  error: unknown,
  { mustSucceed = false }: Pick<Interleaving, 'mustSucceed'>,
): void {
  if (error === undefined) return
  const message = `${where} failed with ${String(error)}`
  ok(error instanceof TenancyError, message)
  ok(CONCURRENCY_ERRORS.has(error.code), `${message} (${error.code})`)
  ok(!mustSucceed, `${message} (${error.code})`)
}

/** A further process can delete and provision the tenant. */
async function assertRecoverable(t: ConformanceContext, id: string, where: string): Promise<void> {
  const factory = t.createFactory({ migrations: MORE }, t.createProvider())
  await expectSuccess(`${where}: deprovision`, () => factory.deprovision(id))
  await assertAbsent(t, id, where)
  await expectSuccess(`${where}: provision`, () => factory.provision(id))
  await assertReady(t, id, where)
  await factory.deprovision(id)
  await factory.close()
}

async function isMigrationLocked(t: ConformanceContext, id: string): Promise<boolean> {
  const name = await t.getDatabaseName(id)
  const rows = await t.oracle.query(name, 'SELECT owner FROM tenantry_lock').catch(() => [])
  return String(rows[0]?.owner ?? '') !== ''
}

async function getError(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return undefined
  } catch (error) {
    return error
  }
}

/** A tenant that is served has all of its tables; a tenant without a ready database is not served. */
async function assertServedOrMissing(
  t: ConformanceContext,
  factories: readonly Factory[],
  id: string,
  where: string,
): Promise<void> {
  const name = await t.getDatabaseName(id)
  const exists = (await t.oracle.listDatabases(name)).includes(name)
  const state = exists
    ? String((await readStamp(t, name).catch(() => ({ state: 'unstamped' }))).state)
    : 'absent'
  for (const factory of factories) {
    factory.release(id)
    const open = (): Promise<Adapters> => factory.getAdapters(id)
    if (state === 'ready') await expectSuccess(where, async () => readNotes((await open()).db))
    else await expectError(`${where}: ${id} is ${state}`, open, 'tenant_not_found', 'tenant_not_ready')
  }
}
