import { describe, expect, it } from 'vitest'
import { defineMigrations, type MigrationSource } from '../../src/database/migrations/index.ts'

const up = async (): Promise<void> => {}
const load = (source: MigrationSource) => defineMigrations(source).load()

describe('defineMigrations', () => {
  it('orders a record by the bytes of its names, in any locale', async () => {
    const list = await load({ b: '', B: '', a_1: '', 'a-1': '', a10: '', a2: '' })
    expect(list.map(({ name }) => name)).toEqual(['B', 'a-1', 'a10', 'a2', 'a_1', 'b'])
  })

  it('takes a list in ascending order, and no other', async () => {
    expect(
      (
        await load([
          { name: '1', up },
          { name: '2', sql: '' },
        ])
      ).map(({ name }) => name),
    ).toEqual(['1', '2'])
    for (const names of [
      ['2', '1'],
      ['1', '1'],
      ['v9', 'v10'],
    ]) {
      expect(() => defineMigrations(names.map((name) => ({ name, up })))).toThrow(
        expect.objectContaining({ code: 'config_invalid' }),
      )
    }
  })

  it.each(['', ' a', 'a ', 'a\nb', 'a\tb', 'é', 'a\u0000', 'x'.repeat(256)])(
    'refuses the name %j',
    (name) => {
      expect(() => defineMigrations([{ name, sql: '' }])).toThrow(
        expect.objectContaining({ code: 'config_invalid' }),
      )
      expect(() => defineMigrations({ [name]: '' })).toThrow(
        expect.objectContaining({ code: 'config_invalid' }),
      )
    },
  )

  it.each(['a', '0001 make notes.sql', '__proto__x', 'x'.repeat(255)])('takes the name %j', async (name) => {
    expect(await load({ [name]: '' })).toHaveLength(1)
  })

  it.each([
    undefined,
    null,
    1,
    {},
    { up: 'x' },
    { sql: 1 },
    { sql: '', up },
    { up, checksum: '' },
    { up, checksum: 'x'.repeat(256) },
    { sql: ['a'] },
  ])('refuses %j for a migration', (value) => {
    expect(() => defineMigrations({ a: value } as never)).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    )
  })

  it('has the SHA-256 of the text for a checksum, the same for every kind of line end', async () => {
    const [first] = await load({ a: 'SELECT 1;\nSELECT 2' })
    // printf 'SELECT 1;\nSELECT 2' | sha256sum
    expect(first?.checksum).toBe('b77e18a77fe1646e882e86cabf008cc2b9f6aa70d6328ef4c10cb195d6b4b4b4')
    expect((await load({ a: '\ufeffSELECT 1;\r\nSELECT 2' }))[0]).toEqual(first)
    expect((await load({ a: 'SELECT 1;\nSELECT 3' }))[0]?.checksum).not.toBe(first?.checksum)
  })

  it('knows of a Kysely migration only the checksum it is given', async () => {
    const list = await load({ a: { up }, b: { up, checksum: 'v1' } })
    expect(list.map(({ checksum }) => checksum)).toEqual([null, 'v1'])
  })

  it('calls up on the object it belongs to', async () => {
    class Migration {
      seen = 0
      async up(): Promise<void> {
        this.seen++
      }
    }
    const migration = new Migration()
    await (await load({ a: migration }))[0]?.up?.(undefined as never)
    expect(migration.seen).toBe(1)
  })

  it('calls a source function until it succeeds, then never again', async () => {
    let calls = 0
    const migrations = defineMigrations(async () => {
      if (++calls === 1) throw new Error('the disk is asleep')
      return { a: '' }
    })
    await expect(migrations.load()).rejects.toThrow('asleep')
    await migrations.load()
    await migrations.load()
    expect(calls).toBe(2)
    await expect(defineMigrations(async () => ({ '': '' })).load()).rejects.toMatchObject({
      code: 'config_invalid',
    })
  })
})
