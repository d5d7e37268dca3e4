import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { emulatorForTests, readCode } from './support.ts'

const hour = 60 * 60 * 1000
let clock = Date.parse('2026-11-24T12:00:00Z')
const cloudflare = await emulatorForTests({ now: () => clock })
const { call, make, oracle, query } = cloudflare
const md5 = (text: string): string => createHash('md5').update(text).digest('hex')

async function exported(uuid: string, dump_options: object = {}): Promise<string> {
  const body = { output_format: 'polling', dump_options }
  const first = await call('POST', `/d1/database/${uuid}/export`, body)
  expect([first.status, first.body.result.status]).toEqual([202, 'active'])
  const current_bookmark = first.body.result.at_bookmark
  const second = await call('POST', `/d1/database/${uuid}/export`, { ...body, current_bookmark })
  expect([second.status, second.body.result.status]).toEqual([200, 'complete'])
  return await (await cloudflare.fetch(second.body.result.result.signed_url)).text()
}

async function imported(uuid: string, sql: string): Promise<any> {
  const etag = md5(sql)
  const action = (name: string, more: object = {}) =>
    call('POST', `/d1/database/${uuid}/import`, { action: name, etag, ...more })
  const { filename, upload_url } = (await action('init')).body.result
  const upload = await cloudflare.fetch(upload_url, { method: 'PUT', body: sql })
  expect(upload.headers.get('etag')).toBe(`"${etag}"`)
  const begun = await action('ingest', { filename })
  if (begun.body.result.status === 'error') return begun.body.result
  expect(begun.status).toBe(202)
  return (await action('poll', { current_bookmark: begun.body.result.at_bookmark })).body.result
}

describe('an export', () => {
  test('is SQL that creates the same database elsewhere', async () => {
    const from = await make('from')
    await query(
      from,
      `create table "odd ""name" (id integer primary key autoincrement, v); create index i on "odd ""name" (v);
       insert into "odd ""name" (v) values (9007199254740993), (1.5), ('it''s;\nnew'), (x'00ff'), (null)`,
    )
    const sql = await exported(from)
    expect(sql).toMatch(/^PRAGMA defer_foreign_keys=TRUE;\n/)
    const to = await make('to')
    expect(await imported(to, sql)).toMatchObject({ success: true, status: 'complete' })
    const rows = 'select id, quote(v) as v from "odd ""name" order by id'
    expect(await oracle.execute('to', rows)).toEqual(await oracle.execute('from', rows))
    expect(await oracle.execute('to', rows)).toHaveLength(5)
  })

  test('leaves out the tables and rows that the options exclude', async () => {
    const uuid = await make('parts')
    await query(
      uuid,
      'create table a (v); create table b (v); insert into a values (1); insert into b values (2)',
    )
    expect(await exported(uuid, { no_data: true })).not.toContain('INSERT')
    expect(await exported(uuid, { no_schema: true })).not.toContain('create table')
    const only = await exported(uuid, { tables: ['b'] })
    expect(only).toContain('CREATE TABLE b')
    expect(only).not.toContain('CREATE TABLE a')
  })

  test('blocks queries while it is active, and is cancelled when it is not polled', async () => {
    const uuid = await make('busy')
    await call('POST', `/d1/database/${uuid}/export`, { output_format: 'polling' })
    const refused = await query(uuid, 'select 1')
    expect([refused.status, readCode(refused)]).toEqual([400, 7500])
    clock += 5 * 60_000
    expect((await query(uuid, 'select 1')).status).toBe(200)
  })

  test('is downloaded within the hour, by GET, only with its signed address', async () => {
    const uuid = await make('signed')
    const body = { output_format: 'polling' }
    const first = await call('POST', `/d1/database/${uuid}/export`, body)
    const next = { ...body, current_bookmark: first.body.result.at_bookmark }
    const { signed_url } = (await call('POST', `/d1/database/${uuid}/export`, next)).body.result.result
    expect((await cloudflare.fetch(signed_url)).status).toBe(200)
    expect((await cloudflare.fetch(signed_url, { method: 'PUT', body: 'x' })).status).toBe(405)
    expect((await cloudflare.fetch(`${signed_url}x`)).status).toBe(403)
    expect(cloudflare.requests.at(-1)).toMatchObject({ plane: 'files', path: '/_files' })
    clock += hour
    expect((await cloudflare.fetch(signed_url)).status).toBe(403)
  })

  test('of virtual tables is an error of the export', async () => {
    const uuid = await make('fts')
    await query(uuid, 'create virtual table words using fts5 (text)')
    const { body } = await call('POST', `/d1/database/${uuid}/export`, { output_format: 'polling' })
    expect(body.result).toMatchObject({
      success: false,
      status: 'error',
      error: expect.stringContaining('Virtual Tables'),
    })
  })
})

describe('an import', () => {
  test('is carried out whole or not at all', async () => {
    const uuid = await make('failing')
    const result = await imported(uuid, 'create table t (a); insert into absent values (1);')
    expect(result).toMatchObject({
      success: false,
      status: 'error',
      error: 'no such table: absent: SQLITE_ERROR',
    })
    expect((await call('GET', `/d1/database/${uuid}`)).body.result.num_tables).toBe(0)
  })

  test('says what it did', async () => {
    const uuid = await make('counted')
    const sql = 'create table t (a); insert into t values (1); insert into t values (2);'
    const { result } = await imported(uuid, sql)
    expect(result).toMatchObject({ num_queries: 3, meta: { changes: 2, rows_written: 4 } })
    const now = await call('GET', `/d1/database/${uuid}/time_travel/bookmark`)
    expect(result.final_bookmark).toBe(now.body.result.bookmark)
  })

  test('of a file that is there already needs no upload; a file that was altered is not taken', async () => {
    const uuid = await make('again')
    const sql = 'create table if not exists t (a);'
    await imported(uuid, sql)
    const again = await call('POST', `/d1/database/${uuid}/import`, { action: 'init', etag: md5(sql) })
    expect(again.body.result).toMatchObject({ type: 'import', status: 'active' })
    const etag = md5('meant')
    const { filename, upload_url } = (
      await call('POST', `/d1/database/${uuid}/import`, { action: 'init', etag })
    ).body.result
    await cloudflare.fetch(upload_url, { method: 'PUT', body: 'altered' })
    expect(
      readCode(await call('POST', `/d1/database/${uuid}/import`, { action: 'ingest', etag, filename })),
    ).toBe(7400)
  })

  test('that is not under way cannot be asked about', async () => {
    const uuid = await make('idle')
    const { body } = await call('POST', `/d1/database/${uuid}/import`, {
      action: 'poll',
      current_bookmark: 'x',
    })
    expect(body.result).toMatchObject({ success: false, error: 'Not currently importing anything.' })
  })
})
