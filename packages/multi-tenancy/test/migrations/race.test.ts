import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type MigrationSource, migrate } from '../../src/database/migrations/index.ts'
import {
  ATOMIC,
  BATCH_ONLY,
  createClock,
  createOptions,
  EFFECTS,
  effect,
  JOURNALED,
  openHandle,
  readDirty,
  readEffects,
  readJournal,
  stamp,
} from './test-database.ts'

const kysely = (what: string) => ({
  async up(db: any) {
    await db.insertInto('effects').values({ what }).execute()
  },
})
// Nothing here would fail the second time: only the runner keeps it from happening twice.
const TEXT: MigrationSource = { '1': effect('1'), '2': effect('2'), '3': `${effect('3a')}; ${effect('3b')}` }
const MIXED: MigrationSource = { ...(TEXT as object), '4': kysely('4'), '5': effect('5'), '6': kysely('6') }
const MODES = [
  ['atomic', ATOMIC],
  ['journaled', JOURNALED],
  ['batch only', BATCH_ONLY],
] as const

let directory = ''
let files = 0
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tenantry-'))
  // A lease's heartbeat would come in at times that fast-check does not pick.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
})
afterAll(() => {
  vi.useRealTimers()
  rmSync(directory, { recursive: true })
})

/** Runners over connections of their own, every statement of theirs and every sleep in an order fast-check picks. */
async function race(
  scheduler: fc.Scheduler,
  capabilities: typeof ATOMIC,
  source: MigrationSource,
  runners: number,
  lockTtl: number,
) {
  const file = join(directory, `${files++}.db`)
  let time = 1_000_000
  const handles = Array.from({ length: runners }, (_, n) =>
    openHandle(file, capabilities, async (run, sql) => {
      await scheduler.schedule(Promise.resolve(), `${n}: ${sql}`)
      return run()
    }),
  )
  const [first] = handles
  if (first === undefined) throw new Error('no runner')
  stamp(first.db)
  first.db.exec(EFFECTS)
  const runs = handles.map((handle) =>
    migrate(
      createOptions(handle, source, {
        now: () => time,
        lockTtl,
        lockTimeout: 1e15,
        async sleep(ms) {
          await scheduler.schedule(Promise.resolve(), 'sleep')
          time += ms
        },
      }),
    ),
  )
  const settled = Promise.allSettled(runs)
  await scheduler.waitFor(settled)
  const results = await settled
  const outcome = {
    results,
    effects: readEffects(first.db),
    journal: readJournal(first.db),
    dirty: readDirty(first.db),
    first,
  }
  for (const { db } of handles.slice(1)) db.close()
  return outcome
}

describe.each(MODES)('concurrent runners of one tenant, %s', (_, capabilities) => {
  it.each([
    ['.sql migrations', TEXT, ['1', '2', '3a', '3b']],
    ['all kinds', MIXED, ['1', '2', '3a', '3b', '4', '5', '6']],
  ] as const)(
    'all succeed and every migration is applied once: %s',
    { timeout: 60_000 },
    async (_name, source, effects) => {
      await fc.assert(
        fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 3 }), async (scheduler, runners) => {
          const { results, first, ...seen } = await race(scheduler, capabilities, source, runners, 2e9)
          first.db.close()
          const names = results.flatMap((result) => {
            // SQLite, here without a timeout, answers "locked" to the second of two writers: worth another try.
            if (result.status === 'rejected')
              expect(result.reason).toMatchObject({ code: 'provider_unavailable' })
            return result.status === 'fulfilled' ? result.value : []
          })
          expect(results.some(({ status }) => status === 'fulfilled')).toBe(true)
          expect(seen.effects).toEqual(effects)
          expect(new Set(names).size).toBe(names.length)
          expect(seen.dirty).toBeNull()
          expect(seen.journal.every(({ state }) => state === 'done')).toBe(true)
        }),
        { numRuns: 30 },
      )
    },
  )

  it('never apply a migration twice, even when leases end under living runners', {
    timeout: 60_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const { results, first, ...seen } = await race(scheduler, capabilities, MIXED, 3, 60)
        expect(new Set(seen.effects).size).toBe(seen.effects.length)
        const codes = results.map((result) => (result.status === 'rejected' ? result.reason.code : 'ok'))
        for (const code of codes) expect(['ok', 'provider_unavailable', 'migration_dirty']).toContain(code)
        // The last runner finished it, so the database is dirty only where the journal has an unfinished migration.
        if (seen.journal.every(({ state }) => state === 'done')) expect(seen.dirty).toBeNull()
        first.db.close()
      }),
      { numRuns: 30 },
    )
  })
})

describe.each(MODES)('a runner that stalls at any one statement, %s', (kind, capabilities) => {
  it.each([
    ['.sql migrations', TEXT, false],
    ['all kinds', MIXED, false],
    ['a migration that an earlier run only began', TEXT, true],
  ] as const)(
    'does nothing that another, after the lease, did: %s',
    { timeout: 60_000 },
    async (_name, source, begun) => {
      let overtaken = 0
      for (let at = 0; ; at++) {
        const file = join(directory, `${files++}.db`)
        let statements = 0
        let stall = (): void => {}
        let wake = (): void => {}
        const stalled = new Promise<void>((resolve) => {
          stall = resolve
        })
        const woken = new Promise<void>((resolve) => {
          wake = resolve
        })
        const slow = openHandle(file, capabilities, async (run) => {
          if (statements++ === at) {
            stall()
            await woken
          }
          return run()
        })
        const quick = openHandle(file, capabilities)
        stamp(slow.db)
        slow.db.exec(EFFECTS)
        if (begun) {
          await migrate(createOptions(quick, {}))
          quick.db.exec("INSERT INTO tenantry_migrations VALUES ('1', NULL, 'paused', 0, 'dead', 0)")
        }
        const result = migrate(createOptions(slow, source)).catch((cause) => cause)
        await Promise.race([stalled, result])
        const other = await migrate(createOptions(quick, source, createClock(2_000_000))).catch(
          (cause) => cause,
        )
        wake()
        const own = await result

        const where = `at ${at}`
        const effects = readEffects(quick.db)
        expect(new Set(effects).size, where).toBe(effects.length)
        const names = [own, other].filter(Array.isArray).flat()
        expect(new Set(names).size, where).toBe(names.length)
        // Inside a transaction of the stalled one SQLite keeps everyone else out.
        if (Array.isArray(other)) {
          // Who was overtaken has nothing to complain of.
          expect(own, where).toBeInstanceOf(Array)
          if (other.length > 0) overtaken++
        } else expect(['provider_unavailable', 'migration_dirty'], where).toContain(other.code)
        if (kind === 'atomic' && !begun) expect(other.code, where).not.toBe('migration_dirty')
        // The mark and the journal agree.
        const open = readJournal(quick.db).filter(({ state }) => state !== 'done')
        expect(readDirty(quick.db), where).toBe(open[0]?.name ?? null)
        slow.db.close()
        quick.db.close()
        if (statements <= at) break
      }
      expect(overtaken).toBeGreaterThan(2)
    },
  )
})
