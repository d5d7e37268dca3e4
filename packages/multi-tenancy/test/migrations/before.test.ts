import { expect, it } from 'vitest'
import { migrate } from '../../src/database/migrations/index.ts'
import { ATOMIC, EFFECTS, effect, effectsOf, memory, optionsOf, Unreachable } from './world.ts'

const FIRST = { '1': EFFECTS }
const ALL = { ...FIRST, '2': effect('2'), '3': effect('3') }

/** A database with the first migration, whose provider is told before others. */
async function migrated(tell: (names: readonly string[]) => Promise<void>) {
  const handle = memory(ATOMIC)
  const provider = {
    ...handle.provider,
    beforeMigrate: (_: unknown, names: readonly string[]) => tell(names),
  }
  await migrate({ ...optionsOf(handle, FIRST), provider })
  return { db: handle.db, run: () => migrate({ ...optionsOf(handle, ALL), provider }) }
}

it('a provider is told once, with the pending names, before a database that had migrations is changed', async () => {
  const told: unknown[] = []
  const { db, run } = await migrated(async (names) => {
    told.push([names, effectsOf(db)])
  })
  expect(told, 'a new database has nothing to go back to').toEqual([])
  await run()
  expect(told).toEqual([[['2', '3'], []]])
  await run()
  expect(told, 'nothing is pending').toHaveLength(1)
})

it('what it throws stops the migrations before the first', async () => {
  const { db, run } = await migrated(async () => {
    throw new Unreachable('no way back')
  })
  await expect(run()).rejects.toMatchObject({ code: 'provider_unavailable' })
  expect(effectsOf(db)).toEqual([])
})
