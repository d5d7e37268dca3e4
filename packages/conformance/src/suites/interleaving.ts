import { ok } from 'node:assert/strict'
import { TenancyError, type TenantFactory } from '@tenantry/multi-tenancy'
import { type ConformanceCase, suite } from '../case.ts'
import { type Adapters, type ConformanceContext, virtualTime } from '../context.ts'
import { CROSSED } from '../support/concurrency-errors.ts'
import { refuses, succeeds } from '../support/expect-error.ts'
import { assertAbsent, assertReady, stampOf } from '../support/identity-stamp.ts'
import { NOTES, readNotes } from '../support/notes.ts'
import { atEveryCall } from '../support/try-every-call.ts'
import { intercept } from '../wrappers/intercept-provider.ts'

type Factory = TenantFactory<Adapters>
type Work = (factory: Factory, id: string) => Promise<unknown>

const provision: Work = (factory, id) => factory.provision(id)
const deprovision: Work = (factory, id) => factory.deprovision(id)
const migrate: Work = (factory, id) => factory.migrate(id)
const firstRequest: Work = (factory, id) => factory.getAdapters(id)
const makeAnew: Work = async (factory, id) => {
  await factory.deprovision(id)
  await factory.provision(id)
}

const MORE = { ...NOTES, '0002_more': 'CREATE TABLE more (id INTEGER)' }

interface Crossing {
  readonly what: string
  /** Whether the tenant is there before. */
  readonly present: boolean
  readonly first: Work
  readonly second: Work
  /** The first must not notice. */
  readonly unharmed?: boolean
}

const CROSSINGS: readonly Crossing[] = [
  { what: 'provision overtaken by a provision', present: false, first: provision, second: provision, unharmed: true },
  { what: 'provision overtaken by a deprovision', present: false, first: provision, second: deprovision },
  { what: 'a confirming provision overtaken by a provision', present: true, first: provision, second: provision, unharmed: true },
  { what: 'a confirming provision overtaken by a deprovision', present: true, first: provision, second: deprovision },
  { what: 'provision of a tenant that is made anew meanwhile', present: true, first: provision, second: makeAnew },
  { what: 'deprovision overtaken by a provision', present: true, first: deprovision, second: provision },
  { what: 'deprovision overtaken by a deprovision', present: true, first: deprovision, second: deprovision, unharmed: true },
  { what: 'migrate overtaken by a migrate', present: true, first: migrate, second: migrate, unharmed: true },
  { what: 'migrate overtaken by a deprovision', present: true, first: migrate, second: deprovision },
  { what: 'migrate of a tenant that is made anew meanwhile', present: true, first: migrate, second: makeAnew },
  { what: 'the first request overtaken by a provision', present: false, first: firstRequest, second: provision },
  { what: 'the first request overtaken by a migrate', present: true, first: firstRequest, second: migrate, unharmed: true },
  { what: 'the first request overtaken by a deprovision', present: true, first: firstRequest, second: deprovision },
  { what: 'the first request of a tenant that is made anew meanwhile', present: true, first: firstRequest, second: makeAnew },
] // biome-ignore format: a table

/** Between two calls of one process, another does its whole work: at every call in turn, so no race needs luck. */
export const overtaken: readonly ConformanceCase[] = suite(
  'races',
  CROSSINGS.map((crossing) => ({
    name: `${crossing.what}, before every call in turn`,
    async run(t: ConformanceContext) {
      const points = await atEveryCall((at) => cross(t, crossing, at))
      ok(points > 0, 'nothing was overtaken')
      t.note(`${crossing.what}: ${points} points`)
    },
  })),
)

/** Lets the second go ahead before call `at` of the first. Resolves with whether there was such a call. */
async function cross(
  t: ConformanceContext,
  { present, first, second, unharmed, what }: Crossing,
  at: number,
): Promise<boolean> {
  const id = `point-${at}`
  const where = `${what} (at call ${at})`
  const other = t.factory({ migrations: MORE, environment: virtualTime() }, t.another())
  if (present) {
    const maker = t.factory({ migrations: NOTES }, t.another())
    await maker.provision(id)
    await maker.close()
  }
  let armed = true
  let calls = 0
  let crossed: string | undefined
  let inTransaction = false
  let otherError: unknown
  const { provider } = intercept(t.another(), async (call, run) => {
    // Whoever is inside a transaction or a connect may hold what the other waits for.
    const free = !inTransaction && call.member !== 'verify' && call.member !== 'kysely.query'
    if (call.member.startsWith('kysely.'))
      inTransaction = call.member === 'kysely.begin' || call.member === 'kysely.query'
    if (armed && free && crossed === undefined && calls++ === at) {
      crossed = call.member
      // Under the migration lock there is nothing to overtake: the other waits.
      const waits = second !== deprovision && (await locked(t, id))
      if (!waits) otherError = await failureOf(second(other, id))
    }
    return run()
  })
  const factory = t.factory({ migrations: MORE, environment: virtualTime() }, provider)
  const error = await failureOf(first(factory, id))
  armed = false
  const there = `${where}, before ${crossed}`
  for (const [who, failure] of [
    ['the first', error],
    ['the other', otherError],
  ] as const) {
    if (failure === undefined) continue
    const story = `${there}: ${who} failed with ${String(failure)}`
    ok(failure instanceof TenancyError, story)
    ok(CROSSED.has(failure.code), `${story} (${failure.code})`)
    ok(!unharmed, `${story} (${failure.code})`)
  }
  await assertServedOrNot(t, [factory, other], id, there)
  if (crossed === undefined) return false
  const last = t.factory({ migrations: MORE }, t.another())
  await succeeds(`${there}: deprovision`, () => last.deprovision(id))
  await assertAbsent(t, id, there)
  await succeeds(`${there}: provision`, () => last.provision(id))
  await assertReady(t, id, there)
  await last.deprovision(id)
  // Not at the end of the case, which has dozens of points: their connections would wait for it.
  await Promise.all([factory, other, last].map((each) => each.close()))
  return true
}

async function locked({ oracle, nameOf }: ConformanceContext, id: string): Promise<boolean> {
  const rows = await oracle.query(await nameOf(id), 'SELECT owner FROM tenantry_lock').catch(() => [])
  return String(rows[0]?.owner ?? '') !== ''
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return undefined
  } catch (error) {
    return error
  }
}

/** What is served is complete; what is not there is not served. */
async function assertServedOrNot(
  t: ConformanceContext,
  factories: readonly Factory[],
  id: string,
  where: string,
): Promise<void> {
  const name = await t.nameOf(id)
  const there = (await t.oracle.databases(name)).includes(name)
  const state = there
    ? String((await stampOf(t, name).catch(() => ({ state: 'unstamped' }))).state)
    : 'absent'
  for (const factory of factories) {
    factory.release(id)
    const open = (): Promise<Adapters> => factory.getAdapters(id)
    if (state === 'ready') await succeeds(where, async () => readNotes((await open()).db))
    else await refuses(`${where}: ${id} is ${state}`, open, 'tenant_not_found', 'tenant_not_ready')
  }
}
