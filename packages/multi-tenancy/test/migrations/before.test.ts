import { expect, it } from 'vitest'
import { migrate } from '../../src/database/migrations/index.ts'
import { ATOMIC, createOptions, EFFECTS, effect, memory, readEffects, Unreachable } from './test-database.ts'

const FIRST = { '1': EFFECTS }
const ALL = { ...FIRST, '2': effect('2'), '3': effect('3') }

/** A database with the first migration. `beforeMigrate` is called before the others. */
async function migrated(beforeMigrate: (names: readonly string[]) => Promise<void>) {
  const handle = memory(ATOMIC)
  const provider = {
    ...handle.provider,
    beforeMigrate: (_: unknown, names: readonly string[]) => beforeMigrate(names),
  }
  await migrate({ ...createOptions(handle, FIRST), provider })
  return { db: handle.db, run: () => migrate({ ...createOptions(handle, ALL), provider }) }
}

it('calls beforeMigrate once, with the pending names, before it changes a database that has migrations', async () => {
  const calls: unknown[] = []
  const { db, run } = await migrated(async (names) => {
    calls.push([names, readEffects(db)])
  })
  expect(calls, 'a new database has nothing to go back to').toEqual([])
  await run()
  expect(calls).toEqual([[['2', '3'], []]])
  await run()
  expect(calls, 'nothing is pending').toHaveLength(1)
})

it('runs no migration when beforeMigrate throws', async () => {
  const { db, run } = await migrated(async () => {
    throw new Unreachable('no way back')
  })
  await expect(run()).rejects.toMatchObject({ code: 'provider_unavailable' })
  expect(readEffects(db)).toEqual([])
})
