import { sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import { type MigrationSource, migrate, repairMigration } from '../../src/database/migrations/index.ts'
import {
  ATOMIC,
  createOptions,
  EFFECTS,
  effect,
  type Handle,
  JOURNALED,
  memory,
  readDirty,
  readEffects,
  readJournal,
  readLock,
  Unreachable,
} from './test-database.ts'

const BROKEN = `${EFFECTS}; ${effect('1')}; INSERT INTO nowhere VALUES (1); ${effect('3')}`
const CORRECTED = BROKEN.replace('nowhere', 'effects')

/** A database in which `a` stopped at its third statement, of four. */
async function dirtied(capabilities = JOURNALED, source: MigrationSource = { a: BROKEN }): Promise<Handle> {
  const handle = memory(capabilities)
  await expect(migrate(createOptions(handle, source))).rejects.toMatchObject({
    code: 'migration_failed',
    detail: expect.stringMatching(/^Migration a failed in statement 3 of 4: .*nowhere/),
  })
  return handle
}

describe('a migration that stops half-way without a transaction', () => {
  it('leaves the database dirty, and every later run refuses and says where it stopped', async () => {
    const { db, ...handle } = await dirtied()
    expect(readDirty(db)).toBe('a')
    expect(readJournal(db)).toMatchObject([{ name: 'a', state: 'failed', statement: 2 }])
    expect(readLock(db)).toMatchObject({ expires_at: 0 })
    for (const source of [
      { a: BROKEN },
      { a: CORRECTED },
      { a: BROKEN, b: effect('b') },
      { b: effect('b') },
    ]) {
      await expect(migrate(createOptions({ ...handle, db }, source))).rejects.toMatchObject({
        code: 'migration_dirty',
        step: 'a',
        tenantId: 'acme',
        detail: expect.stringMatching(/^Migration a was left half applied: statement 3( of 4)? failed$/),
      })
    }
    expect(readEffects(db)).toEqual(['1'])
  })

  it('says so when a statement may or may not be done', async () => {
    const handle = memoryWithLostReply()
    await expect(migrate(createOptions(handle, { a: CORRECTED }))).rejects.toMatchObject({
      code: 'migration_failed',
    })
    await expect(migrate(createOptions(handle, { a: CORRECTED }))).rejects.toMatchObject({
      code: 'migration_dirty',
      detail: 'Migration a was left half applied: statement 2 of 4 may or may not be done',
    })
    expect(readDirty(handle.db)).toBe('a')
  })

  function memoryWithLostReply(): Handle {
    return memory(JOURNALED, async (run, text) => {
      const rows = run()
      if (text === effect('1')) throw new Unreachable('the reply was lost')
      return rows
    })
  }

  it('continues after a repair with a corrected text, and is not served until it has completed', async () => {
    const handle = await dirtied()
    const options = createOptions(handle, { a: CORRECTED })
    await repairMigration({ ...options, name: 'a', statement: 2 })
    expect(readDirty(handle.db)).toBe('a')
    expect(await migrate(options)).toEqual(['a'])
    expect(readEffects(handle.db)).toEqual(['1', '1', '3'])
    expect(readDirty(handle.db)).toBeNull()
    expect(await migrate(options)).toEqual([])
    expect(readLock(handle.db)).toMatchObject({ expires_at: 0 })
  })

  it('starts over when the repair says that nothing is done', async () => {
    const handle = await dirtied()
    handle.db.exec('DROP TABLE effects')
    await repairMigration({ ...createOptions(handle, { a: CORRECTED }), name: 'a', statement: 0 })
    expect(readDirty(handle.db)).toBeNull()
    expect(await migrate(createOptions(handle, { a: `${CORRECTED};` }))).toEqual(['a'])
    expect(readEffects(handle.db)).toEqual(['1', '1', '3'])
  })

  it('is done when the repair says that all is', async () => {
    const handle = await dirtied()
    await repairMigration({ ...createOptions(handle, { a: CORRECTED }), name: 'a', statement: 4 })
    expect(readDirty(handle.db)).toBeNull()
    expect(await migrate(createOptions(handle, { a: CORRECTED }))).toEqual([])
  })

  it('may leave the code once it is undone', async () => {
    const handle = await dirtied()
    handle.db.exec('DROP TABLE effects')
    const options = createOptions(handle, { b: EFFECTS })
    await expect(repairMigration({ ...options, name: 'a', statement: 1 })).rejects.toMatchObject({
      code: 'invalid_request',
    })
    await repairMigration({ ...options, name: 'a', statement: 0 })
    expect(readDirty(handle.db)).toBeNull()
    expect(await migrate(options)).toEqual(['b'])
  })

  it('may not be changed between repair and run', async () => {
    const handle = await dirtied()
    await repairMigration({ ...createOptions(handle, { a: CORRECTED }), name: 'a', statement: 2 })
    await expect(migrate(createOptions(handle, { a: BROKEN }))).rejects.toMatchObject({
      code: 'migration_changed',
    })
  })

  it.each([-1, 0.5, 5, Number.NaN, '2'])('refuses a repair to %j statements', async (statement) => {
    const options = createOptions(await dirtied(), { a: CORRECTED })
    await expect(
      repairMigration({ ...options, name: 'a', statement: statement as number }),
    ).rejects.toMatchObject({
      code: 'invalid_request',
    })
  })

  it('rejects the repair of a migration that is done or has not begun', async () => {
    const handle = memory(JOURNALED)
    await migrate(createOptions(handle, { a: EFFECTS }))
    for (const name of ['a', 'b']) {
      const options = createOptions(handle, { a: EFFECTS, b: effect('b') })
      await expect(repairMigration({ ...options, name, statement: 0 })).rejects.toMatchObject({
        code: 'conflict',
      })
    }
    expect(await migrate(createOptions(handle, { a: EFFECTS }))).toEqual([])
  })

  it('is not repaired while it is only under way', async () => {
    const handle = memory(JOURNALED)
    let meanwhile: unknown
    const up = async (): Promise<void> => {
      const options = createOptions(handle, { a: { up } })
      meanwhile = await repairMigration({ ...options, name: 'a', statement: 0 }).catch((cause) => cause)
    }
    expect(await migrate(createOptions(handle, { a: { up } }))).toEqual(['a'])
    expect(meanwhile).toMatchObject({ code: 'migration_locked' })
  })

  it('counts a Kysely migration as one statement', async () => {
    const handle = memory(JOURNALED)
    const source = {
      a: {
        up: async (db: any) => {
          await sql.raw(EFFECTS).execute(db)
          throw new Error('a slip')
        },
      },
    }
    const failed = migrate(createOptions(handle, source))
    await expect(failed).rejects.toMatchObject({
      code: 'migration_failed',
      detail: 'Migration a failed in up(): a slip',
    })
    await expect(migrate(createOptions(handle, source))).rejects.toMatchObject({
      code: 'migration_dirty',
      detail: 'Migration a was left half applied: up() may or may not be done',
    })
    expect(readDirty(handle.db)).toBe('a')
    await repairMigration({ ...createOptions(handle, source), name: 'a', statement: 1 })
    expect(readDirty(handle.db)).toBeNull()
    expect(await migrate(createOptions(handle, source))).toEqual([])
  })

  it('is the same where only this migration asked for no transaction', async () => {
    const handle = await dirtied(ATOMIC, { a: { sql: BROKEN, transaction: false } })
    expect(readDirty(handle.db)).toBe('a')
    const options = createOptions(handle, { a: { sql: CORRECTED, transaction: false } })
    await repairMigration({ ...options, name: 'a', statement: 2 })
    expect(await migrate(options)).toEqual(['a'])
    expect(readEffects(handle.db)).toEqual(['1', '1', '3'])
  })
})
