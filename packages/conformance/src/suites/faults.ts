import { deepEqual, equal, ok } from 'node:assert/strict'
import {
  type FactoryOptions,
  TenancyError,
  type TenancyErrorCode,
  type TenantFactory,
} from '@tenantry/multi-tenancy/provider'
import type { Kysely } from 'kysely'
import { type ConformanceCase, defineCases } from '../case.ts'
import { type Adapters, type ConformanceContext, createSimulatedTime } from '../context.ts'
import type { Harness } from '../harness.ts'
import { expectError, expectSuccess } from '../support/expect-error.ts'
import { assertAbsent, assertReady } from '../support/identity-stamp.ts'
import { CREATE_NOTES, readNotes, SELECT_NOTES, toBodies, writeNote } from '../support/notes.ts'
import { tryEveryCall } from '../support/try-every-call.ts'
import { type FaultKind, withFaults } from '../wrappers/with-faults.ts'

type Factory = TenantFactory<Adapters>

/** An operation to interrupt, and the check of its result after a second run. */
interface Operation {
  readonly name: string
  prepare(t: ConformanceContext, id: string): Promise<void>
  run(factory: Factory, id: string): Promise<unknown>
  check(t: ConformanceContext, factory: Factory, id: string): Promise<void>
  /** Options of the process that is interrupted. */
  readonly options?: FactoryOptions<any, Adapters>
}

const OLD = { '0001_notes': CREATE_NOTES }
const NEW = {
  ...OLD,
  '0002_row': "INSERT INTO notes (id, body) VALUES (2, 'migrated')",
  '0003_tags': {
    async up(db: Kysely<any>): Promise<void> {
      await db.schema.createTable('tags').addColumn('id', 'integer').execute()
      await db.insertInto('tags').values({ id: 1 }).execute()
    },
  },
}

/** Writes the same row when it runs twice. */
async function seed({ db }: Adapters): Promise<void> {
  await db.deleteFrom('notes').where('id', '=', 1).execute()
  await writeNote(db, 1, 'seeded')
}

async function createTenant(t: ConformanceContext, id: string): Promise<void> {
  const factory = t.createFactory({ migrations: OLD, environment: createSimulatedTime() }, t.createProvider())
  await factory.provision(id)
  await writeNote((await factory.getAdapters(id)).db, 7, 'kept')
  await factory.close()
}

async function assertNotes(
  t: ConformanceContext,
  factory: Factory,
  id: string,
  notes: string[],
): Promise<void> {
  await assertReady(t, id)
  deepEqual(await readNotes((await factory.getAdapters(id)).db), notes, 'through the factory')
  const name = await t.getDatabaseName(id)
  deepEqual(toBodies(await t.oracle.query(name, SELECT_NOTES)), notes, 'in the database')
}

const OPERATIONS: readonly Operation[] = [
  {
    name: 'provision',
    async prepare() {},
    run: (factory, id) => factory.provision(id),
    async check(t, factory, id) {
      await assertNotes(t, factory, id, ['seeded', 'migrated'])
      equal(
        (await t.oracle.query(await t.getDatabaseName(id), 'SELECT id FROM tags')).length,
        1,
        'rows of 0003_tags',
      )
    },
  },
  {
    name: 'deprovision',
    prepare: createTenant,
    run: (factory, id) => factory.deprovision(id),
    async check(t, factory, id) {
      await assertAbsent(t, id)
      await expectError('getAdapters', () => factory.getAdapters(id), 'tenant_not_found')
    },
  },
  {
    name: 'migrate',
    prepare: createTenant,
    run: (factory, id) => factory.migrate(id),
    async check(t, factory, id) {
      await assertNotes(t, factory, id, ['migrated', 'kept'])
      equal(
        (await t.oracle.query(await t.getDatabaseName(id), 'SELECT id FROM tags')).length,
        1,
        'rows of 0003_tags',
      )
    },
  },
  {
    name: 'the first request',
    prepare: createTenant,
    run: (factory, id) => factory.getAdapters(id),
    check: (t, factory, id) => assertNotes(t, factory, id, ['kept']),
    // Without look-ups of single unknown ids, the factory calls `list` as well.
    options: { migrations: OLD, cache: { unknownLookups: 0 } },
  },
]

const KINDS: readonly { kind: FaultKind; title: string }[] = [
  { kind: 'before', title: 'recovers from an unavailable service at every call of' },
  { kind: 'after', title: 'recovers from a lost reply at every call of' },
  { kind: 'fatal', title: 'recovers from a rejection that was reported by mistake at every call of' },
  { kind: 'dies-before', title: 'recovers from a crash before every call of' },
  { kind: 'dies-after', title: 'recovers from a crash after every call of' },
  { kind: 'dies-midway', title: 'recovers from a crash within every batch of' },
]

/** A fault at every call of every operation, one at a time; then the operation is run again. */
export const faults: readonly ConformanceCase[] = defineCases(
  'faults',
  OPERATIONS.flatMap((operation) =>
    KINDS.map(({ kind, title }) => ({
      name: `${title} ${operation.name}`,
      skip: ({ provider }: Harness) =>
        kind === 'dies-midway' && provider.capabilities.transactionalDdl
          ? 'transactionalDdl is true'
          : undefined,
      async run(t: ConformanceContext) {
        const members = new Set<string>()
        const points = await tryEveryCall(async (at) => {
          const member = await interrupt(t, operation, kind, at)
          if (member !== undefined) members.add(member)
          return member !== undefined
        })
        ok(points > 0 || kind === 'dies-midway', 'no call was interrupted')
        t.note(`${operation.name}, ${kind}: ${points} fault points (${[...members].sort().join(', ')})`)
      },
    })),
  ),
)

/** Interrupts the operation at one call, runs it again and checks the result. Returns the member that was called. */
async function interrupt(
  t: ConformanceContext,
  operation: Operation,
  kind: FaultKind,
  at: number,
): Promise<string | undefined> {
  const id = `point-${at}`
  await operation.prepare(t, id)
  const inner = t.createProvider()
  let armed = true
  let calls = 0
  const faulty = withFaults(inner, { kind, at: () => armed && calls++ === at })
  const options = { migrations: NEW, seed, ...operation.options }
  const interrupted = t.createFactory({ ...options, environment: createSimulatedTime() }, faulty.provider)
  const run = operation.run(interrupted, id).then(
    () => ({ error: undefined }),
    (error: unknown) => ({ error }),
  )
  const result = await Promise.race([run, faulty.died.then(() => 'died' as const)])
  armed = false
  const call = faulty.fired()
  const where = `${operation.name} (${kind} at call ${at}, ${call?.member})`
  if (result !== 'died') assertOutcome(t, kind, result.error, where)

  // After a crash another process runs the operation again, otherwise the process that received the error.
  if (result === 'died') {
    await inner.close()
    await expireMigrationLock(t, id)
  }
  const next =
    result === 'died'
      ? t.createFactory({ ...options, environment: createSimulatedTime() }, t.createProvider())
      : interrupted
  const again = await operation.run(next, id).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (isJournaled(t) && again instanceof TenancyError && again.code === 'migration_dirty') {
    await expectError(
      `${where}: a dirty tenant is served`,
      () => next.getAdapters(id),
      'migration_dirty',
      'tenant_not_ready',
    )
  } else {
    await expectSuccess(`${where}, run again`, async () => {
      if (again !== undefined) throw again
    })
    await expectSuccess(`${where}, checked`, () => operation.check(t, next, id))
    deepEqual(
      (await t.oracle.listDatabases(t.prefix)).filter((name) => name.includes(id)).length <= 1,
      true,
      `${where}: several databases`,
    )
  }
  await next.deprovision(id)
  await assertAbsent(t, id, where)
  // Closed here, because the case has dozens of calls whose connections would add up.
  await next.close()
  return call?.member
}

/** Expires the migration lock of a process that died. */
async function expireMigrationLock(
  { oracle, getDatabaseName }: ConformanceContext,
  id: string,
): Promise<void> {
  await oracle.execute(await getDatabaseName(id), 'UPDATE tenantry_lock SET expires_at = 0').catch(() => {})
}

function assertOutcome(t: ConformanceContext, kind: FaultKind, error: unknown, where: string): void {
  if (error === undefined) return
  ok(error instanceof TenancyError, `${where}: ${String(error)}`)
  const allowed: TenancyErrorCode[] = kind === 'fatal' ? ['provider_rejected', 'migration_failed'] : []
  if (isJournaled(t)) allowed.push('migration_failed', 'migration_dirty')
  ok(
    allowed.includes(error.code),
    `${where}: the operation must survive one fault, received ${error.code} (${error.message})`,
  )
}

/** Whether a migration can run without a transaction. An interrupted one is then dirty, and an operator decides. */
function isJournaled({ provider }: ConformanceContext): boolean {
  const { transactions, transactionalDdl } = provider.capabilities
  return !transactions || !transactionalDdl
}
