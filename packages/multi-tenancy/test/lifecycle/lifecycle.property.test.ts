import { getOutcome } from '@tenantry/test-support'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type FailingProcess, startFailingProcess } from './failing-process.ts'
import { type Action, checkAlways, createLedger, effect, isState, keepHistory, type Ledger } from './model.ts'
import { createTestEnv, LEASE, MAX_AGE, MIGRATIONS, RETENTION, type TestEnv } from './test-env.ts'
import { createService } from './test-service.ts'

/** More of them, and a seed to see a failure again: `TENANTRY_MODEL_RUNS=5000 TENANTRY_MODEL_SEED=1`. */
const RUNS = Number(process.env.TENANTRY_MODEL_RUNS ?? 100)
const SEED = Number(process.env.TENANTRY_MODEL_SEED ?? Date.now() % 2 ** 31)

const IDS = ['acme', 'beta'] as const
const PROCESSES = 3
const ACTIONS: Action[] = ['provision', 'deprovision', 'suspend', 'resume', 'undelete', 'purge', 'migrate']
const NEWER = { ...MIGRATIONS, '0002_tags': 'CREATE TABLE tags (name TEXT)' }

const process_ = fc.nat(PROCESSES - 1)
const id = fc.constantFrom(...IDS)
/** With `meanwhile`, the next command does not wait for this one, which is that many turns ahead. */
const act = fc.record({
  type: fc.constant('act' as const),
  process: process_,
  id,
  action: fc.constantFrom(...ACTIONS),
  meanwhile: fc.option(fc.nat(60), { freq: 2 }),
  die: fc.option(fc.nat(60), { freq: 3 }),
  fail: fc.option(fc.record({ in: fc.nat(40), when: fc.constantFrom('before' as const, 'after' as const) }), {
    freq: 3,
  }),
})
interface Scene {
  readonly before: readonly Action[]
  readonly first: Action
  readonly second: Action
}

const DELETED = ['provision', 'deprovision'] as const
/** Where two are most likely to get in each other's way. */
const SCENES: readonly Scene[] = [
  { before: DELETED, first: 'undelete', second: 'provision' },
  { before: DELETED, first: 'provision', second: 'undelete' },
  { before: DELETED, first: 'purge', second: 'undelete' },
  { before: DELETED, first: 'provision', second: 'purge' },
  { before: DELETED, first: 'provision', second: 'provision' },
  { before: [], first: 'provision', second: 'provision' },
  { before: ['provision'], first: 'suspend', second: 'deprovision' },
  { before: ['provision', 'suspend'], first: 'resume', second: 'deprovision' },
]
const anyScene: fc.Arbitrary<Scene> = fc.record({
  before: fc.constantFrom([], ['provision' as const], ['provision' as const, 'suspend' as const], DELETED),
  first: fc.constantFrom(...ACTIONS),
  second: fc.constantFrom(...ACTIONS),
})
/** Two processes at one tenant that is so far, so many turns apart. */
const race = fc.record({
  type: fc.constant('race' as const),
  id,
  scene: fc.oneof(fc.constantFrom(...SCENES), anyScene),
  apart: fc.nat(40),
})
const command = fc.oneof(
  { weight: 10, arbitrary: act },
  { weight: 6, arbitrary: race },
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom('write' as const, 'request' as const), process: process_, id }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom('kill' as const, 'sweep' as const, 'upgrade' as const), process: process_ }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('release' as const), process: process_, id }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(100, 6_000, MAX_AGE, LEASE, RETENTION) }),
  },
) // biome-ignore format: one line each
type Command = typeof command extends fc.Arbitrary<infer Value> ? Value : never
type Act = typeof act extends fc.Arbitrary<infer Value> ? Value : never

interface Run {
  readonly env: TestEnv
  readonly ledger: Ledger
  readonly processes: FailingProcess[]
  readonly start: () => Promise<FailingProcess>
  /** Operations that still run. */
  readonly meanwhile: Set<Promise<unknown>>
  /** Whether only the current command runs, and no fault is injected. */
  calm: boolean
  newest: boolean
}

async function perform(run: Run, command: Command): Promise<void> {
  const { env, ledger } = run
  if (command.type === 'wait') return env.time.advance(command.ms)
  if (command.type === 'race') {
    const [one, other] = [await getLivingProcess(run, 0), await getLivingProcess(run, 1)]
    const { before, first: action, second } = command.scene
    for (const earlier of before) await coded(one, begin(one, earlier, command.id))
    const first = coded(one, begin(one, action, command.id))
    for (let turn = 0; turn < command.apart; turn++) await Promise.resolve()
    await Promise.all([first, coded(other, begin(other, second, command.id))])
    return
  }
  const process = await getLivingProcess(run, command.process)
  if (command.type === 'act') return doAct(run, process, command)
  if (command.type === 'kill') return process.kill()
  if (command.type === 'upgrade') {
    run.newest = true
    run.processes[command.process] = await run.start()
    return
  }
  if (command.type === 'sweep') return void (await coded(process, process.lifecycle.sweep()))
  if (command.type === 'release') return process.factory.release(command.id)
  // What the driver throws at who queries is the driver's.
  if (command.type === 'write') return void (await getOutcome(ledger.write(process, command.id)))
  if (command.type === 'request') await ledger.request(process, command.id)
}

/** Returns the process with this index, and starts a new one if it was killed. */
async function getLivingProcess({ processes, start }: Run, index: number): Promise<FailingProcess> {
  const process = processes[index]
  if (process !== undefined && !process.dead) return process
  const next = await start()
  processes[index] = next
  return next
}

async function doAct(run: Run, process: FailingProcess, command: Act): Promise<void> {
  const { action, id, die, fail, meanwhile } = command
  if (die !== null) process.killIn(die)
  if (fail !== null) process.failIn(fail.in, fail.when)
  const before = await readState(run.env, id)
  const alone = run.calm && die === null && meanwhile === null
  const work = coded(process, begin(process, action, id)).finally(process.disarm)
  if (meanwhile !== null) {
    const running = work.finally(() => run.meanwhile.delete(running))
    run.meanwhile.add(running)
    for (let turn = 0; turn < meanwhile; turn++) await Promise.resolve()
    return
  }
  const result = await work
  // A process of an older version may find migrations it does not know.
  const predictable = alone && isState(before) && !run.newest
  if (!predictable) return
  const expected = effect(action, before)
  expect(result, `${action} of ${before}`).toBe(expected.result)
  const after = await readState(run.env, id)
  if (action !== 'undelete') expect(after, `${action} of ${before}`).toBe(expected.state)
}

async function begin({ lifecycle }: FailingProcess, action: Action, id: string): Promise<unknown> {
  if (action !== 'purge') return lifecycle[action](id)
  const { uid } = await lifecycle.get(id).catch(() => ({ uid: undefined }))
  return lifecycle.purge(id, { uid })
}

/** Asserts that an error of a living process has a code. */
async function coded(process: FailingProcess, work: Promise<unknown>): Promise<string> {
  const result = await getOutcome(work)
  if (!process.dead) expect(result).not.toMatch(/^(uncoded|internal)/)
  return result
}

async function readState({ db, time }: TestEnv, id: string): Promise<string> {
  const row = await db
    .selectFrom('tenantry_tenants')
    .select(['state', 'operation_id', 'ready_at', 'superseded', 'purge_after'])
    .where('tenant_id', '=', id)
    .orderBy('generation', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return 'unknown'
  // The next operation purges a database whose retention has ended.
  if (row.state === 'deleted' && Number(row.purge_after) <= time.now()) return 'deleted, but due'
  const simple =
    row.operation_id === null && !row.superseded && (row.ready_at !== null || row.state === 'purged')
  return simple ? row.state : `${row.state}, but`
}

/** Without further faults, every operation ends, and every tenant can be used and deleted. */
async function finishAll(run: Run): Promise<void> {
  const { env, ledger } = run
  for (const process of run.processes) process?.kill()
  await Promise.all([...run.meanwhile])
  run.newest = true
  const process = await run.start()
  const { lifecycle } = process
  for (let sweep = 0; sweep < 3; sweep++) {
    await env.time.advance(LEASE)
    await lifecycle.sweep()
    await checkAlways(env)
  }
  const open = await env.db
    .selectFrom('tenantry_operations')
    .selectAll()
    .where('state', '=', 'running')
    .execute()
  expect(open).toEqual([])
  const rows = await env.db.selectFrom('tenantry_tenants').selectAll().execute()
  for (const { operation_id, state, error, tenant_id } of rows) {
    expect(operation_id, tenant_id).toBeNull()
    expect(['active', 'suspended', 'deleted', 'purged', 'failed'], tenant_id).toContain(state)
    if (state === 'failed') expect(error, tenant_id).not.toBeNull()
  }
  for (const tenant of IDS) {
    if ((await lifecycle.get(tenant).catch(() => undefined))?.error) await lifecycle.retry(tenant)
    const record = await lifecycle.get(tenant).catch(() => undefined)
    if (record?.state === 'deleted' && !record.superseded && record.readyAt !== undefined)
      await lifecycle.undelete(tenant)
    if ((await lifecycle.get(tenant).catch(() => undefined))?.state === 'suspended')
      await lifecycle.resume(tenant)
    await lifecycle.provision(tenant)
    await lifecycle.migrate(tenant)
    expect(await ledger.request(process, tenant)).toBe('succeeded')
    await lifecycle.deprovision(tenant, { retention: 0 })
  }
  await env.time.advance(RETENTION)
  await lifecycle.sweep()
  expect([...env.service.databases.keys()]).toEqual([])
  await checkAlways(env)
}

it(`${RUNS} lives of two tenants in ${PROCESSES} processes that die, fail and race lose, mix up and block nothing (seed ${SEED})`, {
  timeout: Math.max(120_000, RUNS * 1_000),
}, async () => {
  console.log(`lifecycle model: ${RUNS} runs, seed ${SEED}`)
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 3, maxLength: 30 }),
      fc.nat(),
      async (commands, chance) => {
        let state = chance
        // mulberry32
        const random = (): number => {
          state = (state + 0x6d2b79f5) | 0
          let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
          mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
          return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
        }
        // A service that closes nothing leaves it all to the states.
        const env = createTestEnv(createService({ setAccess: chance % 2 === 0 }), random)
        await env.start()
        await keepHistory(env)
        const run: Run = {
          env,
          ledger: createLedger(env),
          processes: [],
          start: () => startFailingProcess(env, { migrations: run.newest ? NEWER : MIGRATIONS, random }),
          meanwhile: new Set(),
          calm: true,
          newest: false,
        }
        for (const next of commands) {
          await perform(run, next)
          run.calm = run.meanwhile.size === 0
          await checkAlways(env)
        }
        await finishAll(run)
      },
    ),
    { seed: SEED, numRuns: RUNS, endOnFailure: false },
  )
})
