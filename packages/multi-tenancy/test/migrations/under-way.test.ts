import type { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { readStamp } from '../../src/database/identity.ts'
import { migrate } from '../../src/database/migrations/migrate.ts'
import {
  ATOMIC,
  createOptions,
  type Handle,
  JOURNALED,
  memory,
  readDirty,
  readLock,
  Unreachable,
} from './test-database.ts'

/** The dirty migration that a process reads when it opens the database now. */
async function seen(db: DatabaseSync): Promise<unknown> {
  const stamp = await readStamp('sqlite', async ({ sql }) => db.prepare(sql).all())
  return stamp?.dirty
}

/** Calls `look` while the only migration of a run is under way. The lease uses the database's clock. */
async function during(handle: Handle, look: () => Promise<void>): Promise<void> {
  const { now: _, ...options } = createOptions(handle, {
    a: { up: look, transaction: false },
  })
  await migrate(options)
}

afterEach(() => vi.useRealTimers())

describe.each([
  ['without transactional DDL', JOURNALED],
  ['with it, in a migration that asks for no transaction', ATOMIC],
])('a migration that is under way, %s', (_, capabilities) => {
  it('is not reported as half applied while its runner lives', async () => {
    const handle = memory(capabilities)
    await during(handle, async () => {
      expect(readDirty(handle.db)).toBe('a')
      expect(await seen(handle.db)).toBeNull()
    })
    expect([readDirty(handle.db), await seen(handle.db)]).toEqual([null, null])
  })

  it("is reported as half applied once its lease has ended by the database's clock", async () => {
    const handle = memory(capabilities)
    await during(handle, async () => {
      handle.db.exec('UPDATE tenantry_lock SET expires_at = unixepoch() * 1000 - 1')
      expect(await seen(handle.db)).toBe('a')
    })
  })

  it('is reported as half applied when another process holds the lock', async () => {
    const handle = memory(capabilities)
    await during(handle, async () => {
      handle.db.exec("UPDATE tenantry_lock SET owner = 'another process'")
      expect(await seen(handle.db)).toBe('a')
    })
  })

  it('is reported as half applied as soon as it has failed, also when the runner cannot release its lease', async () => {
    for (const reachable of [true, false]) {
      const handle = memory(capabilities, async (run, sql) => {
        if (!reachable && sql.includes('expires_at = 0')) throw new Unreachable('no route')
        return run()
      })
      const refused = during(handle, async () => void handle.db.exec('INSERT INTO missing VALUES (1)'))
      await expect(refused).rejects.toMatchObject({ code: 'migration_failed' })
      expect(Number(readLock(handle.db)?.expires_at) > 0).toBe(!reachable)
      expect(await seen(handle.db)).toBe('a')
    }
  })
})

it("a runner whose clock is wrong holds its lease by the database's clock", async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1e15 })
  const handle = memory(JOURNALED)
  await during(handle, async () => {
    const [row] = handle.db.prepare('SELECT expires_at - unixepoch() * 1000 AS left FROM tenantry_lock').all()
    expect(Number(row?.left)).toBeGreaterThan(25_000)
    expect(Number(row?.left)).toBeLessThanOrEqual(30_000)
  })
})

it('reads the stamp with one query when no migration is under way', async () => {
  const { db } = memory(JOURNALED)
  const queries: string[] = []
  await readStamp('sqlite', async ({ sql }) => {
    queries.push(sql)
    return db.prepare(sql).all()
  })
  expect(queries).toHaveLength(1)
})
