import type { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { readStamp } from '../../src/database/identity.ts'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { ATOMIC, dirtyOf, type Handle, JOURNALED, lockOf, memory, optionsOf, Unreachable } from './world.ts'

/** What somebody who opens the database now is told of a migration. */
async function seen(db: DatabaseSync): Promise<unknown> {
  const stamp = await readStamp('sqlite', async ({ sql }) => db.prepare(sql).all())
  return stamp?.dirty
}

/** A run that is looked at while its only migration is under way. By the database's own clock, as in real life. */
async function during(handle: Handle, look: () => Promise<void>): Promise<void> {
  const { now: _, ...options } = optionsOf(handle, {
    a: { up: look, transaction: false },
  })
  await migrate(options)
}

afterEach(() => vi.useRealTimers())

describe.each([
  ['without transactional DDL', JOURNALED],
  ['with it, in a migration that asks for no transaction', ATOMIC],
])('a migration that is under way, %s', (_, capabilities) => {
  it('is not taken for one that was left half applied, while its runner lives', async () => {
    const handle = memory(capabilities)
    await during(handle, async () => {
      expect(dirtyOf(handle.db)).toBe('a')
      expect(await seen(handle.db)).toBeNull()
    })
    expect([dirtyOf(handle.db), await seen(handle.db)]).toEqual([null, null])
  })

  it('is, once the lease has ended by the database’s clock', async () => {
    const handle = memory(capabilities)
    await during(handle, async () => {
      handle.db.exec('UPDATE tenantry_lock SET expires_at = unixepoch() * 1000 - 1')
      expect(await seen(handle.db)).toBe('a')
    })
  })

  it('is, when somebody else holds the lock', async () => {
    const handle = memory(capabilities)
    await during(handle, async () => {
      handle.db.exec("UPDATE tenantry_lock SET owner = 'somebody else'")
      expect(await seen(handle.db)).toBe('a')
    })
  })

  it('is, as soon as it failed, and also when the runner cannot give its lease back', async () => {
    for (const reachable of [true, false]) {
      const handle = memory(capabilities, async (run, sql) => {
        if (!reachable && sql.includes('expires_at = 0')) throw new Unreachable('no route')
        return run()
      })
      const refused = during(handle, async () => void handle.db.exec('INSERT INTO missing VALUES (1)'))
      await expect(refused).rejects.toMatchObject({ code: 'migration_failed' })
      expect(Number(lockOf(handle.db)?.expires_at) > 0).toBe(!reachable)
      expect(await seen(handle.db)).toBe('a')
    }
  })
})

it('a runner whose clock is wrong holds its lease by the database’s', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1e15 })
  const handle = memory(JOURNALED)
  await during(handle, async () => {
    const [row] = handle.db.prepare('SELECT expires_at - unixepoch() * 1000 AS left FROM tenantry_lock').all()
    expect(Number(row?.left)).toBeGreaterThan(25_000)
    expect(Number(row?.left)).toBeLessThanOrEqual(30_000)
  })
})

it('where nothing is under way the stamp is one query', async () => {
  const { db } = memory(JOURNALED)
  const asked: string[] = []
  await readStamp('sqlite', async ({ sql }) => {
    asked.push(sql)
    return db.prepare(sql).all()
  })
  expect(asked).toHaveLength(1)
})
