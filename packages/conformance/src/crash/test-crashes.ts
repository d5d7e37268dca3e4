import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inGroups } from '../support/run-concurrently.ts'
import type { Doom, DoomReport } from './child-process.ts'
import type { CrashHarness } from './harness.ts'
import { createPoints } from './pause-points.ts'
import { sampleOf } from './sample-points.ts'
import {
  type Actor,
  type CrashOperation,
  createActor,
  LEASE,
  mend,
  OPERATIONS,
  perform,
  unharmed,
  type World,
} from './tenant-process.ts'

export interface TestCrashesOptions {
  /**
   * Tenants that die in one process, each at a point of its own.
   *
   * @default 40
   */
  readonly perProcess?: number
  /**
   * Milliseconds one operation's points may take together.
   *
   * @default 120_000
   */
  readonly timeout?: number
  /**
   * How many points of each operation are tried, one of each stretch of so many, chosen by a seed that is printed: for
   * services too slow for all of them each time; for processes that are killed, and for those that are only thought dead.
   * `TENANTRY_CRASH_POINTS=all` tries all, `TENANTRY_CRASH_SEED=7` others.
   *
   * @default all
   */
  readonly sample?: { readonly killed?: number; readonly overtaken?: number }
}

/** Tenants that one process works on at a time: one by one it would only wait for replies. */
const AT_ONCE = 4

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
const CHILD = fileURLToPath(
  new URL(`./${EXTENSION === '.ts' ? 'child-process' : 'crash-child'}${EXTENSION}`, import.meta.url),
)

/**
 * Kills processes (`kill -9`) at every await of provision, migrate and deprovision that reaches the service or the
 * catalog, and has another process go on: each tenant ends with one record and one database, or neither, and the
 * same operation done again succeeds. Then once more with processes that were only thought dead and go on too late.
 *
 * @param harness of a module that exports a `CrashHarness`, as a URL
 */
export function testCrashes(
  name: string,
  harness: string,
  { perProcess = 40, timeout = 120_000, sample = {} }: TestCrashesOptions = {},
): void {
  const { TENANTRY_CRASH_POINTS, TENANTRY_CRASH_SEED: seed = '1' } = process.env
  const { killed, overtaken } = TENANTRY_CRASH_POINTS === 'all' ? {} : sample
  describe(`${name}, dying at every await`, () => {
    let world: World
    let service: Awaited<ReturnType<CrashHarness['setup']>>
    let folder: string
    const tried: string[] = []

    beforeAll(async () => {
      const { setup } = (await import(harness)) as CrashHarness
      service = await setup()
      folder = await mkdtemp(path.join(tmpdir(), 'tenantry-crash-'))
      const prefix = `c${Math.random().toString(36).slice(2, 8)}-`
      world = { harness, config: service.config, catalogPath: path.join(folder, 'catalog.db'), prefix }
    }, timeout)

    afterAll(async () => {
      const sampled = killed ?? overtaken
      const which = sampled === undefined ? 'all points' : `sampled by TENANTRY_CRASH_SEED=${seed}`
      console.log(`${name}, ${which}: ${tried.join('; ')}`)
      await service?.cleanup()
      await rm(folder, { recursive: true, force: true })
    })

    /** Tenants in the state the operation begins from. */
    async function prepare(operation: CrashOperation, ids: readonly string[]): Promise<void> {
      const actor = await createActor(world, unharmed)
      if (operation === 'provision') await actor.lifecycle.list()
      else await inGroups(ids, AT_ONCE, (id) => actor.factory.provision(id))
      await actor.close()
    }

    async function check(actor: Actor, operation: CrashOperation, id: string, point: string): Promise<void> {
      const { lifecycle } = actor
      const record = await lifecycle.get(id).catch(() => undefined)
      const names = (await service.oracle.databases(`${world.prefix}${id}`)).filter((found) =>
        [`${world.prefix}${id}`].includes(found),
      )
      expect(record?.operation, `${point}: an operation is left`).toBeUndefined()
      expect(names, `${point}: databases`).toHaveLength(record === undefined ? 0 : 1)
      if (record !== undefined) expect(record.state, point).toBe('active')
      await perform(actor, operation, id)
      const after = await lifecycle.get(id).catch(() => undefined)
      if (operation === 'deprovision') {
        expect(after, point).toBeUndefined()
        return
      }
      expect(after?.state, point).toBe('active')
      const { db } = await actor.factory.getAdapters(id)
      expect(await db.selectFrom('notes').select(['id', 'body']).execute(), point).toEqual([
        { id, body: `of ${id}` },
      ])
      const applied = await db.selectFrom('tenantry_migrations').select('state').execute()
      expect(
        applied.map(({ state }) => state),
        point,
      ).toEqual(operation === 'migrate' ? ['done', 'done', 'done'] : ['done'])
    }

    /** Another process, later: every lease of the dead has ended. */
    async function survive(operation: CrashOperation, points: ReadonlyMap<string, string>): Promise<void> {
      const actor = await createActor(world, unharmed, { later: 2 * LEASE, newer: operation === 'migrate' })
      try {
        await endLeases(actor, points)
        // As in a fleet, whose processes all look; each operation is taken by one.
        await Promise.all(Array.from({ length: AT_ONCE }, () => actor.lifecycle.sweep({ limit: 1_000 })))
        await inGroups(points, AT_ONCE, async ([id, point]) => {
          await mend(actor, id, `${world.prefix}${id}`, service.oracle)
          await check(actor, operation, id, `killed ${point}`)
        })
        const { operations } = await left(actor, points)
        expect(operations).toEqual([])
      } finally {
        await actor.close()
      }
    }

    /** The database's clock is nobody's to turn, so of a migration's lease the end is. */
    async function endLeases({ provider }: Actor, points: ReadonlyMap<string, string>): Promise<void> {
      if (provider.capabilities.transactionalDdl) return
      for (const id of points.keys())
        await service.oracle
          .execute(`${world.prefix}${id}`, 'UPDATE tenantry_lock SET expires_at = 0')
          .catch(() => {})
    }

    /** Has as many tenants as a process takes stop at a point each, until one is done before its point. */
    async function atPoints(
      operation: CrashOperation,
      mark: string,
      sampled: number | undefined,
      stop: (tenants: Doom['tenants']) => Promise<ReadonlyMap<string, string>>,
    ): Promise<number> {
      const chosen = sampled === undefined ? undefined : await choose(world, operation, mark, sampled)
      let total = 0
      for (let from = 0, finished = false; !finished; from += perProcess) {
        const stops =
          chosen?.slice(from, from + perProcess) ?? Array.from({ length: perProcess }, (_, at) => from + at)
        const tenants = stops.map((stopAt) => ({ id: `${operation[0]}${mark}${stopAt}`, stopAt }))
        await prepare(
          operation,
          tenants.map(({ id }) => id),
        )
        const points = await stop(tenants)
        total += points.size
        finished = chosen === undefined ? points.size < perProcess : from + perProcess >= chosen.length
      }
      expect(total).toBeGreaterThan(Math.min(20, (sampled ?? 40) / 2))
      return total
    }

    for (const operation of OPERATIONS) {
      it(`${operation}: a process that is killed`, { timeout }, async () => {
        const total = await atPoints(operation, 'k', killed, async (tenants) => {
          const points = new Map<string, string>()
          for (const { id, point, failed } of await die({ world, operation, tenants })) {
            expect(failed, id).toBeUndefined()
            if (point !== undefined) points.set(id, point)
          }
          await survive(operation, points)
          return points
        })
        tried.push(`${operation} killed at ${total}`)
      })

      it(`${operation}: a process that is thought dead and goes on`, { timeout }, async () => {
        const total = await atPoints(operation, 'z', overtaken, async (tenants) => {
          const zombies = await Promise.all(
            tenants.map(({ id, stopAt }) => stand(world, operation, id, stopAt)),
          )
          const points = new Map(
            zombies.flatMap(({ id, point }) => (point === undefined ? [] : [[id, point]])),
          )
          await survive(operation, points)
          for (const { thaw } of zombies) thaw()
          await Promise.all(zombies.map(({ ended }) => ended))
          await survive(operation, points)
          await Promise.all(zombies.map(({ close }) => close()))
          return points
        })
        tried.push(`${operation} overtaken at ${total}`)
      })
    }

    /** One point of each of `count` stretches of the operation, by the seed. */
    async function choose(
      at: World,
      operation: CrashOperation,
      mark: string,
      count: number,
    ): Promise<number[]> {
      const id = `${operation[0]}${mark}whole`
      await prepare(operation, [id])
      const points = createPoints(Number.POSITIVE_INFINITY, () => {})
      const actor = await createActor(at, points.around, { newer: operation === 'migrate' })
      await perform(actor, operation, id)
      await actor.close()
      return sampleOf(points.passed(), count, `${seed} ${operation} ${mark}`)
    }
  })
}

async function left(actor: Actor, points: ReadonlyMap<string, string>): Promise<{ operations: string[] }> {
  const operations: string[] = []
  for (const id of points.keys()) {
    const found = await actor.lifecycle.operations(id, { limit: 100 }).catch(() => ({ operations: [] }))
    for (const { state, kind } of found.operations) if (state === 'running') operations.push(`${id}: ${kind}`)
  }
  return { operations }
}

/** Runs a process until every tenant in it stands still or is done, and kills it. */
async function die(doom: Doom): Promise<DoomReport[]> {
  const child = fork(CHILD, {
    env: { ...process.env, TENANTRY_DOOM: JSON.stringify(doom) },
    execArgv: EXTENSION === '.ts' ? ['--conditions=source', '--no-warnings'] : ['--no-warnings'],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const reports: DoomReport[] = []
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  if (child.stdout !== null) {
    for await (const line of createInterface({ input: child.stdout })) {
      reports.push(JSON.parse(line))
      if (reports.length === doom.tenants.length) break
    }
  }
  child.kill('SIGKILL')
  await exited
  expect(reports).toHaveLength(doom.tenants.length)
  return reports
}

interface Zombie {
  readonly id: string
  /** Where it stands still; `undefined` when it was done before. */
  readonly point: string | undefined
  thaw(): void
  /** However it ends. */
  readonly ended: Promise<unknown>
  close(): Promise<void>
}

async function stand(world: World, operation: CrashOperation, id: string, stopAt: number): Promise<Zombie> {
  let point: string | undefined
  let stopped = (): void => {}
  const still = new Promise<void>((resolve) => {
    stopped = resolve
  })
  const points = createPoints(stopAt, (name) => {
    point = name
    stopped()
  })
  const actor = await createActor(world, points.around, { newer: operation === 'migrate' })
  const ended = perform(actor, operation, id).catch((error: unknown) => error)
  await Promise.race([still, ended])
  return { id, point, thaw: points.thaw, ended, close: actor.close }
}
