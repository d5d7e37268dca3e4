import { describe, expect, test } from 'vitest'
import { emulatorForTests, readCode } from './support.ts'

const cloudflare = await emulatorForTests()
const { call, make, query } = cloudflare
const uuid = await make('queried')

describe('results', () => {
  test('are objects by query and columns with rows by raw, one for each statement', async () => {
    await query(uuid, 'create table kinds (a, b, c, d)')
    const params = [1, 'text', null, [0, 255]]
    const inserted = await query(uuid, 'insert into kinds values (?, ?, ?, ?) returning *', params)
    expect(inserted.body.result).toMatchObject([
      {
        success: true,
        results: [{ a: 1, b: 'text', c: null, d: [0, 255] }],
        meta: { changes: 1, last_row_id: 1 },
      },
    ])
    const raw = await call('POST', `/d1/database/${uuid}/raw`, {
      sql: 'select 1 as x, 2 as x; select a, c from kinds',
    })
    expect(raw.body.result.map(({ results }: any) => results)).toEqual([
      { columns: ['x', 'x'], rows: [[1, 2]] },
      { columns: ['a', 'c'], rows: [[1, null]] },
    ])
  })

  test('have the meta of the service', async () => {
    await query(uuid, 'create table if not exists metered (a integer primary key, b)')
    const { body } = await query(uuid, 'insert into metered (b) values (1), (2); select * from metered')
    const [insert, select] = body.result.map(({ meta }: any) => meta)
    expect(insert).toMatchObject({ changes: 2, last_row_id: 2, changed_db: true, rows_written: 2 })
    expect(select).toMatchObject({ changes: 0, changed_db: false, rows_read: 2, rows_written: 0 })
    expect(insert).toMatchObject({ served_by_region: 'WEUR', served_by_primary: true, total_attempts: 1 })
    expect(insert.size_after).toBeGreaterThan(4096)
  })

  test('keep the precision of a JSON number: integers bind as reals', async () => {
    const { body } = await query(uuid, 'select typeof(?1) as a, typeof(?2) as b, 9007199254740993 as c', [
      1,
      '1',
    ])
    expect(body.result[0].results).toEqual([{ a: 'real', b: 'text', c: 9007199254740992 }])
  })
})

describe('a batch', () => {
  test('is one transaction: a failed statement leaves no change, in either form', async () => {
    await query(uuid, 'create table if not exists atomic (a)')
    const first = 'insert into atomic values (1)'
    const bodies = [
      { sql: `${first}; insert into absent values (1)` },
      { batch: [{ sql: first }, { sql: 'selec' }] },
    ]
    for (const body of bodies) {
      const failed = await call('POST', `/d1/database/${uuid}/query`, body)
      expect([failed.status, readCode(failed)]).toEqual([400, 7500])
    }
    expect((await query(uuid, 'select * from atomic')).body.result[0].results).toEqual([])
  })

  test('sees what it wrote, each statement with its own params', async () => {
    await query(uuid, 'create table if not exists batched (a)')
    const batch = [
      { sql: 'insert into batched values (?)', params: ['x'] },
      { sql: 'select a from batched where a = ?', params: ['x'] },
    ]
    const { body } = await call('POST', `/d1/database/${uuid}/query`, { batch })
    expect(body.result[1].results).toEqual([{ a: 'x' }])
  })

  test('has no transactions inside, and cannot switch foreign keys off', async () => {
    for (const sql of ['BEGIN', 'COMMIT', 'SAVEPOINT s']) {
      const refused = await query(uuid, sql)
      expect(readCode(refused)).toBe(7500)
      expect(refused.body.errors[0].message).toContain('To execute a transaction')
    }
    const { body } = await query(uuid, 'PRAGMA foreign_keys = OFF; PRAGMA foreign_keys')
    expect(body.result[1].results).toEqual([{ foreign_keys: 1 }])
  })
})

describe('a refusal', () => {
  test.each([
    ['selec', 'near "selec": syntax error at offset 0: SQLITE_ERROR'],
    ['select * from absent', 'no such table: absent: SQLITE_ERROR'],
    ['', 'No SQL statements detected.'],
    ['-- nothing', 'No SQL statements detected.'],
    ["attach 'x' as y", 'not authorized: SQLITE_AUTH'],
    ['select * from _cf_KV', 'access to _cf_KV.key is prohibited: SQLITE_AUTH'],
  ])("of %j is 400 with 7500 and SQLite's message", async (sql, message) => {
    const refused = await query(uuid, sql)
    expect(refused.status).toBe(400)
    expect(refused.body.errors).toEqual([{ code: 7500, message }])
  })

  test.each([
    [{}],
    [{ sql: 1 }],
    [{ batch: {} }],
    [{ batch: [null] }],
    [{ sql: 'select ?', params: 'x' }],
    [{ sql: 'select ?', params: [{}] }],
    [{ sql: 'select 1; select ?', params: [1] }],
  ])('of the body %j is 400 with 7400', async (body) => {
    const refused = await call('POST', `/d1/database/${uuid}/query`, body)
    expect([refused.status, readCode(refused)]).toEqual([400, 7400])
  })
})

describe('a limit of the service', () => {
  const message = async (sql: string, params?: unknown[]): Promise<string | undefined> =>
    (await query(uuid, sql, params)).body.errors[0]?.message
  const marks = (count: number): string => Array.from({ length: count }, () => '(?)').join(',')
  const names = (count: number): string => Array.from({ length: count }, (_, index) => `c${index}`).join()

  test('is 100 KB of SQL in one statement', async () => {
    expect(await message(`select '${'x'.repeat(99_000)}'`)).toBeUndefined()
    expect(await message(`select '${'x'.repeat(100_001)}'`)).toContain('SQLITE_TOOBIG')
    expect(await message(`select '${'x'.repeat(60_000)}'; select '${'x'.repeat(60_000)}'`)).toBeUndefined()
  })

  test('is 100 parameters', async () => {
    await query(uuid, 'create table if not exists bound (a)')
    const values = (count: number): number[] => Array.from({ length: count }, () => 1)
    expect(await message(`insert into bound values ${marks(100)}`, values(100))).toBeUndefined()
    expect(await message(`insert into bound values ${marks(101)}`, values(101))).toContain(
      'too many SQL variables',
    )
    expect(await message('select ?', [1, 2])).toContain('Wrong number of parameter bindings')
  })

  test('is 100 columns', async () => {
    expect(await message(`create table wide (${names(100)})`)).toBeUndefined()
    expect(await message(`create table wider (${names(101)})`)).toContain('too many columns on wider')
  })

  test('is 2 MB in one value', async () => {
    await query(uuid, 'create table if not exists big (a)')
    expect(await message('insert into big values (?)', ['x'.repeat(1_900_000)])).toBeUndefined()
    expect(await message('insert into big values (?)', ['x'.repeat(2_000_001)])).toContain('SQLITE_TOOBIG')
  })

  test('is a LIKE pattern of 50 bytes', async () => {
    expect(await message(`select 'x' like '${'%'.repeat(50)}'`)).toBeUndefined()
    expect(await message(`select 'x' like '${'%'.repeat(51)}'`)).toContain('LIKE or GLOB pattern too complex')
  })
})

describe('the splitter of statements', () => {
  const trigger = (begin: string, line = '\n'): string =>
    [
      'drop trigger if exists tr;',
      'CREATE TRIGGER tr AFTER INSERT ON watched',
      `${begin}`,
      '  UPDATE seen SET n = n + 1;',
      '  UPDATE seen SET n = CASE WHEN n > 9 THEN 0 ELSE n END;',
      'END;',
      "insert into watched values (';');",
    ].join(line)

  test('keeps a trigger, quoted text and comments whole', async () => {
    await query(
      uuid,
      'create table if not exists watched (a); create table if not exists seen (n); insert into seen values (0)',
    )
    const { body } = await query(
      uuid,
      `${trigger('BEGIN')} -- a; comment\n/* one; more */ select n from seen`,
    )
    expect(body.result).toHaveLength(4)
    expect(body.result[3].results).toEqual([{ n: 1 }])
    expect((await query(uuid, 'select a from watched')).body.result[0].results).toEqual([{ a: ';' }])
  })

  test('cuts a trigger in two for `begin` in lower case and for CRLF, as the service does', async () => {
    for (const sql of [trigger('begin'), trigger('BEGIN', '\r\n')]) {
      const refused = await query(uuid, sql)
      expect(refused.body.errors).toEqual([{ code: 7500, message: 'incomplete input: SQLITE_ERROR' }])
    }
  })
})

test('databases do not see one another', async () => {
  const other = await make('another')
  await query(other, 'create table only_here (a)')
  expect(readCode(await query(uuid, 'select * from only_here'))).toBe(7500)
  expect((await call('GET', `/d1/database/${other}`)).body.result.num_tables).toBe(1)
})
