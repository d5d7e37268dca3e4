import { describe, expect, test } from 'vitest'
import { emulatorForTests, readCode } from './support.ts'

const minute = 60_000
let clock = Date.parse('2026-11-24T12:00:00Z')
const cloudflare = await emulatorForTests({ now: () => clock })
const { call, make, oracle, query } = cloudflare

const at = (time: number): string => new Date(time).toISOString()
const bookmark = async (uuid: string, timestamp?: number) =>
  await call(
    'GET',
    `/d1/database/${uuid}/time_travel/bookmark${timestamp ? `?timestamp=${at(timestamp)}` : ''}`,
  )
const restore = (uuid: string, by: string) => call('POST', `/d1/database/${uuid}/time_travel/restore?${by}`)

describe('a restore', () => {
  test('puts back tables, rows of every kind, indexes, triggers and keys, and gives the bookmark that undoes it', async () => {
    const uuid = await make('whole')
    await query(
      uuid,
      `create table parent (id integer primary key autoincrement, big, real, text, bytes, none);
       create table child (parent integer not null references parent (id), twice integer as (parent * 2));
       create index by_text on parent (text);
       create view names as select text from parent;
       CREATE TRIGGER counts AFTER INSERT ON child BEGIN UPDATE parent SET none = 'triggered'; END;
       insert into parent values (7, 9007199254740993, 1.5, 'it''s', x'00ff', null);
       insert into child (parent) values (7); update parent set none = null`,
    )
    const before =
      "select id, big || '' as big, typeof(big) as kind, real, text, hex(bytes) as bytes, none from parent"
    const rows = await oracle.execute('whole', before)
    const received = (await bookmark(uuid)).body.result.bookmark
    await query(uuid, 'drop view names; drop table child; drop table parent; create table stray (a)')

    const restored = await restore(uuid, `bookmark=${received}`)
    expect(restored.status).toBe(200)
    expect(await oracle.execute('whole', before)).toEqual(rows)
    expect(rows).toMatchObject([
      { id: 7, big: '9007199254740993', kind: 'integer', bytes: '00FF', none: null },
    ])
    expect(await oracle.execute('whole', 'select twice from child')).toEqual([{ twice: 14 }])
    const names =
      "select name from sqlite_schema where name not like 'sqlite_%' and name not like '_cf_%' order by name"
    const present = (await oracle.execute('whole', names)).map(({ name }) => name)
    expect(present).toEqual(['by_text', 'child', 'counts', 'names', 'parent'])
    await query(uuid, "insert into parent (text) values ('next')")
    expect(await oracle.execute('whole', 'select max(id) as id from parent')).toEqual([{ id: 8 }])

    expect((await restore(uuid, `bookmark=${restored.body.result.previous_bookmark}`)).status).toBe(200)
    expect((await oracle.execute('whole', names)).map(({ name }) => name)).toEqual(['stray'])
  })

  test('goes to a moment, as fine as a minute', async () => {
    const uuid = await make('moments')
    const times: number[] = []
    for (const value of [1, 2, 3]) {
      await query(uuid, value === 1 ? 'create table t as select 1 as v' : `update t set v = ${value}`)
      times.push(clock)
      clock += 2 * minute
    }
    expect((await restore(uuid, `timestamp=${at((times[1] ?? 0) + minute)}`)).status).toBe(200)
    expect(await oracle.execute('moments', 'select v from t')).toEqual([{ v: 2 }])
    expect((await restore(uuid, `timestamp=${at(times[0] ?? 0)}`)).status).toBe(200)
    expect(await oracle.execute('moments', 'select v from t')).toEqual([{ v: 1 }])
  })

  test('to now changes nothing', async () => {
    const uuid = await make('now')
    await query(uuid, 'create table t as select 1 as v')
    const received = (await bookmark(uuid)).body.result.bookmark
    expect((await restore(uuid, `bookmark=${received}`)).body.result.previous_bookmark).toBe(received)
    expect(await oracle.execute('now', 'select v from t')).toEqual([{ v: 1 }])
  })
})

describe('a bookmark', () => {
  test('stays while nothing is written and grows with each change', async () => {
    const uuid = await make('growing')
    const first = (await bookmark(uuid)).body.result.bookmark
    await query(uuid, 'select 1')
    expect((await bookmark(uuid)).body.result.bookmark).toBe(first)
    await query(uuid, 'create table t (a)')
    const second = (await bookmark(uuid)).body.result.bookmark
    expect(second > first).toBe(true)
    expect(second).toMatch(/^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/)
  })

  test('before the database, in the future, or malformed is refused with 7400', async () => {
    const uuid = await make('young')
    const other = (await bookmark(await make('other'))).body.result.bookmark
    expect(readCode(await bookmark(uuid, clock - minute))).toBe(7400)
    expect(readCode(await bookmark(uuid, clock + minute))).toBe(7400)
    for (const by of ['', 'timestamp=soon', 'bookmark=none', `bookmark=${other}`]) {
      expect(readCode(await restore(uuid, by))).toBe(7400)
    }
  })

  test('is forgotten after 30 days', async () => {
    const uuid = await make('old')
    const received = (await bookmark(uuid)).body.result.bookmark
    await query(uuid, 'create table t (a)')
    clock += 31 * 24 * 60 * minute
    await query(uuid, 'create table u (a)')
    expect(readCode(await restore(uuid, `bookmark=${received}`))).toBe(7400)
  })

  test('a deleted database has no history', async () => {
    const uuid = await make('deleted')
    await bookmark(uuid)
    await call('DELETE', `/d1/database/${uuid}`)
    expect(readCode(await bookmark(uuid))).toBe(7404)
  })
})

test('a database with virtual tables can be written to, but its states cannot be restored', async () => {
  const uuid = await make('virtual')
  await query(uuid, 'create virtual table words using fts5 (text)')
  const received = (await bookmark(uuid)).body.result.bookmark
  expect((await query(uuid, "insert into words values ('one')")).status).toBe(200)
  const refused = await restore(uuid, `bookmark=${received}`)
  expect(readCode(refused)).toBe(7400)
  expect(await oracle.execute('virtual', "select text from words where words match 'one'")).toEqual([
    { text: 'one' },
  ])
})

test('a restore never uses an earlier state than the requested one, and never loses the undo bookmark', async () => {
  const uuid = await make('hole')
  await query(uuid, 'create table before (a)')
  const whole = (await bookmark(uuid)).body.result.bookmark
  clock += 2 * minute
  await query(uuid, 'create virtual table words using fts5 (text)')
  // Now it has virtual tables: the earlier state could be restored, but the answer's undo bookmark could not.
  expect(readCode(await restore(uuid, `bookmark=${whole}`))).toBe(7400)
  clock += 2 * minute
  await query(uuid, 'drop table words; create table after (a)')
  clock += 2 * minute
  expect(readCode(await restore(uuid, `timestamp=${at(clock - 3 * minute)}`))).toBe(7400)
  expect(await oracle.execute('hole', 'select count(*) as n from after')).toEqual([{ n: 0 }])
  expect((await restore(uuid, `bookmark=${whole}`)).status).toBe(200)
})
