import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type MigrationSource, migrate, repairMigration } from '../../src/database/migrations/index.ts'
import {
  ATOMIC,
  BATCH_ONLY,
  createClock,
  createOptions,
  EFFECTS,
  effect,
  JOURNALED,
  memory,
  openHandle,
  readDirty,
  readEffects,
  readJournal,
  readLock,
  stamp,
  Unreachable,
} from './test-database.ts'

const SOURCE: MigrationSource = {
  '1': `${EFFECTS}; ${effect('1')}`,
  '2': effect('2'),
  '3': {
    async up(db) {
      await db.insertInto('effects').values({ what: '3' }).execute()
    },
  },
  '4': `${effect('4a')}; ${effect('4b')};`,
}
const ALL = ['1', '2', '3', '4a', '4b']

/** What happens at one statement: to it alone, to the connection from there on, or to the process. */
const FAULTS = [
  'outage before',
  'reply lost',
  'down from before',
  'down from after',
  'dies before',
  'dies after',
] as const
type Fault = (typeof FAULTS)[number]

let directory = ''
let files = 0
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tenantry-'))
})
afterAll(() => {
  rmSync(directory, { recursive: true })
})

interface Outcome {
  /** How many statements the run got to. */
  readonly statements: number
  /** What the run came to: a list, an error, or nothing where its process died. */
  readonly result: unknown
  /** The statement that was hit. */
  readonly hit: string
  readonly file: string
}

/** One run on a new database, hit by `fault` at its statement `at`. */
async function hurtRun(capabilities: typeof ATOMIC, fault: Fault, at: number): Promise<Outcome> {
  const file = join(directory, `${files++}.db`)
  let statements = 0
  let hit = ''
  let die = (): void => {}
  const died = new Promise<undefined>((resolve) => {
    die = () => resolve(undefined)
  })
  const handle = openHandle(file, capabilities, async (run, sql) => {
    const index = statements++
    if (index === at) hit = sql
    if (fault.startsWith('down') && index > at) throw new Unreachable('no route')
    if (index !== at) return run()
    const rows = /after|lost/.test(fault) ? run() : []
    if (!fault.startsWith('dies')) throw new Unreachable('no route')
    // The server undoes what a dead client left open; the client never hears of anything again.
    handle.db.close()
    die()
    return new Promise(() => rows)
  })
  stamp(handle.db)
  const result = await Promise.race([died, migrate(createOptions(handle, SOURCE)).catch((cause) => cause)])
  if (handle.db.isOpen) handle.db.close()
  return { statements, result, hit, file }
}

describe.each([
  ['atomic', ATOMIC],
  ['journaled', JOURNALED],
  ['batch only', BATCH_ONLY],
])('every statement of a run, hit by every fault, %s', (kind, capabilities) => {
  it.each(FAULTS)('%s', { timeout: 60_000 }, async (fault) => {
    const { statements: count } = await hurtRun(capabilities, fault, Number.POSITIVE_INFINITY)
    expect(count).toBeGreaterThan(15)
    let dirtied = 0
    let recovered = 0
    for (let at = 0; at < count; at++) {
      const { result, hit, file } = await hurtRun(capabilities, fault, at)
      const { db, provider } = openHandle(file, capabilities)
      const where = `at ${at}: ${hit}`
      // Another process comes when the lease of a dead one has ended.
      const later = () => createOptions({ db, provider }, SOURCE, createClock(2_000_000))

      // A success that was reported is one; an outage is reported as such or as a failed migration.
      if (Array.isArray(result)) {
        expect(readEffects(db), where).toEqual(ALL)
        expect(
          readJournal(db).every(({ state }) => state === 'done'),
          where,
        ).toBe(true)
        recovered++
      } else if (result !== undefined) {
        expect(['provider_unavailable', 'migration_failed'], where).toContain(
          (result as { code: string }).code,
        )
      }

      const again = await migrate(later()).catch((cause) => cause)
      if (!Array.isArray(again)) {
        dirtied++
        expect(kind, where).not.toBe('atomic')
        expect(again, where).toMatchObject({ code: 'migration_dirty' })
        const { step } = again as { step: string }
        expect(readDirty(db), where).toBe(step)
        // The journal is right about all but the statement it doubts.
        const row = readJournal(db).find(({ name }) => name === step)
        const done = statementsDone(db, step)
        expect([row?.statement, (row?.statement ?? 0) + 1], where).toContain(done)
        await repairMigration({ ...later(), name: step, statement: done })
        await migrate(later())
      }
      expect(readEffects(db), where).toEqual(ALL)
      expect(
        readJournal(db).map(({ name, state }) => name + state),
        where,
      ).toEqual(['1done', '2done', '3done', '4done'])
      expect(readDirty(db), where).toBeNull()
      expect(await migrate(later()), where).toEqual([])
      // A lease is given back, or has ended.
      expect(Number(readLock(db)?.expires_at ?? 0), where).toBeLessThan(2_000_000)
      db.close()
    }
    if (kind === 'journaled') expect(dirtied).toBeGreaterThan(0)
    // A reply lost before and after up(), and up() itself.
    if (kind === 'batch only' && /outage|lost/.test(fault)) expect(dirtied).toBeLessThanOrEqual(2)
    if (fault === 'reply lost') expect(recovered).toBeGreaterThan(2)
  })

  /** Reads the effects from the database. */
  function statementsDone(db: Parameters<typeof readEffects>[0], name: string): number {
    const table = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'effects'").all().length
    return readEffects(db).filter((what) => what.startsWith(name)).length + (name === '1' ? table : 0)
  }
})

describe('a lost reply', () => {
  it.each([
    ['a batch', { '1': EFFECTS, '2': effect('2') }],
    [
      'a transaction',
      {
        '1': {
          up: async (db: any) =>
            void (await db.schema.createTable('effects').addColumn('what', 'text').execute()),
        },
      },
    ],
  ])('of the commit of %s is not a failure', async (_, source) => {
    let armed = false
    const handle = memory(ATOMIC, async (run, sql) => {
      const rows = run()
      armed ||= sql.includes('TABLE effects') || sql.includes('table "effects"')
      if (!armed || sql !== 'COMMIT') return rows
      armed = false
      throw new Unreachable('reply lost')
    })
    expect(await migrate(createOptions(handle, source))).toEqual(Object.keys(source))
  })
})

describe('the lease', () => {
  const slow = (work: () => Promise<void>): MigrationSource => ({ a: { up: work } })

  it('of a dead runner is taken over when it has ended, not before', async () => {
    const file = join(directory, 'dead.db')
    const dead = openHandle(file, JOURNALED)
    stamp(dead.db)
    const clock = createClock()
    await new Promise<void>((stuck) => {
      const source = slow(() => new Promise(() => stuck()))
      migrate({ ...createOptions(dead, source), now: clock.now }).catch(() => {})
    })
    dead.db.prepare("UPDATE tenantry_migrations SET state = 'paused'").run()

    const options = {
      ...createOptions(
        openHandle(file, JOURNALED),
        slow(async () => {}),
      ),
      lockTimeout: 15_000,
    }
    const early = await migrate({ ...options, ...createClock(clock.time) }).catch((cause) => cause)
    expect(early).toMatchObject({ code: 'migration_locked', retryAfter: 15, tenantId: 'acme' })
    expect(early.message).toContain('another process is migrating it')
    // 15 s waited in vain and 15 s left.
    expect(await migrate({ ...options, ...createClock(clock.time + 15_000) })).toEqual(['a'])
    // The dead process's heartbeat would run without end in this process.
    dead.db.close()
  })

  it('is kept while a migration outside a transaction runs, and no timer is left', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const handle = memory(JOURNALED)
      const clock = createClock()
      const ends: unknown[] = []
      const source = slow(async () => {
        for (let beat = 0; beat < 3; beat++) {
          clock.time += 10_000
          await vi.advanceTimersByTimeAsync(10_000)
          ends.push(Number(readLock(handle.db)?.expires_at) - clock.time)
        }
      })
      await migrate(createOptions(handle, source, { now: clock.now }))
      expect(ends).toEqual([30_000, 30_000, 30_000])
      expect(vi.getTimerCount()).toBe(0)
      const broken = slow(async () => {
        throw new Error('a slip')
      })
      await expect(migrate(createOptions(memory(JOURNALED), broken))).rejects.toThrow('a slip')
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('is renewed with every transaction of a long run', async () => {
    const handle = memory(ATOMIC)
    const clock = createClock()
    const left: number[] = []
    const step = (sql: string) => ({
      async up() {
        left.push(Number(readLock(handle.db)?.expires_at) - clock.time)
        clock.time += 50_000
        handle.db.exec(sql)
      },
    })
    const source: MigrationSource = {
      a: step(EFFECTS),
      b: step(effect('b')),
      c: effect('c'),
      d: step(effect('d')),
    }
    await migrate(createOptions(handle, source, { now: clock.now }))
    expect(left).toEqual([30_000, 30_000, 30_000])
  })

  it('goes to one of two that both found it free, and only its holder gives it back', async () => {
    const file = join(directory, 'claims.db')
    let claiming = (): void => {}
    let claim = (): void => {}
    const claims = new Promise<void>((resolve) => {
      claiming = resolve
    })
    const allowed = new Promise<void>((resolve) => {
      claim = resolve
    })
    const late = openHandle(file, JOURNALED, async (run, sql) => {
      if (!sql.startsWith('UPDATE tenantry_lock SET owner = ?')) return run()
      claiming()
      await allowed
      return run()
    })
    stamp(late.db)
    const source = slow(async () => {})
    const waiting = migrate(createOptions(late, source, { lockTimeout: 100 })).catch((cause) => cause)
    await claims
    const first = openHandle(file, JOURNALED)
    const working = slow(async () => {
      claim()
      expect(await waiting).toMatchObject({ code: 'migration_locked' })
      expect(readLock(first.db)?.expires_at).not.toBe(0)
    })
    expect(await migrate(createOptions(first, working))).toEqual(['a'])
    expect(readLock(first.db)?.expires_at).toBe(0)
  })

  it('is asked for again when the database was too busy to answer', async () => {
    let busy = 3
    const handle = memory(JOURNALED, async (run, sql) => {
      if (sql.startsWith('UPDATE tenantry_lock SET owner = ?') && busy-- > 0)
        throw new Error('database is locked')
      return run()
    })
    expect(
      await migrate(
        createOptions(
          handle,
          slow(async () => {}),
        ),
      ),
    ).toEqual(['a'])
    busy = Number.POSITIVE_INFINITY
    const more = { ...(slow(async () => {}) as object), b: EFFECTS }
    await expect(migrate(createOptions(handle, more))).rejects.toMatchObject({ code: 'provider_unavailable' })
  })

  it('held by another is waited for at most lockTimeout', async () => {
    const handle = memory(ATOMIC)
    await migrate(createOptions(handle, {}))
    handle.db.exec("UPDATE tenantry_lock SET owner = 'host-7 x', expires_at = 1e15")
    const clock = createClock()
    for (const source of [{ a: EFFECTS }, slow(async () => {})]) {
      const before = clock.time
      const options = createOptions(handle, source, {
        now: clock.now,
        sleep: clock.sleep,
        lockTimeout: 3_000,
      })
      await expect(migrate(options)).rejects.toMatchObject({ code: 'migration_locked', retryable: true })
      expect(clock.time - before).toBe(3_000)
    }
    // Nothing to do needs no lock.
    expect(await migrate(createOptions(handle, {}))).toEqual([])
    expect(readLock(handle.db)?.owner).toBe('host-7 x')
  })

  it('that could not be given back fails nothing', async () => {
    const handle = memory(ATOMIC, async (run, sql) => {
      if (sql.includes('expires_at = 0')) throw new Unreachable('no route')
      return run()
    })
    expect(
      await migrate(
        createOptions(
          handle,
          slow(async () => {}),
        ),
      ),
    ).toEqual(['a'])
  })
})
