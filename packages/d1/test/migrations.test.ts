import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { captureError } from '@tenantry/test-support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createD1Factory, type D1FactoryOptions } from '../src/index.ts'
import { dispatchAccess, NAMESPACE } from './harness.ts'

let emulator: CloudflareEmulator
beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
})
afterAll(() => emulator?.close())

type Options = Partial<D1FactoryOptions<{ db: any }>>

function factory(options: Options) {
  const { accountId, apiToken, fetch } = emulator
  return createD1Factory({ accountId, apiToken, fetch, ...options } as D1FactoryOptions<{ db: any }>)
}

const TRIGGER = [
  'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);',
  'CREATE TABLE log (what TEXT);',
  'create trigger noted after insert on notes when new.body is not null begin',
  "  insert into log values (case when new.body = 'x' then 'an x' else 'begin;' end);",
  "  insert into log values ('end');",
  'end;',
  "INSERT INTO notes VALUES (1, 'x'), (2, 'y');",
].join('\r\n')

test.each(['rest', 'dispatch'] as const)(
  'a trigger in lower case with CRLF is created: %s',
  async (method) => {
    const access = [method === 'rest' ? { kind: 'rest' as const } : dispatchAccess(emulator)]
    await factory({ access, migrations: { '001': TRIGGER } }).provision(`trigger-${method}`)
    expect(await emulator.oracle.execute(`tenant_trigger-${method}`, 'SELECT what FROM log')).toEqual([
      { what: 'an x' },
      { what: 'end' },
      { what: 'begin;' },
      { what: 'end' },
    ])
  },
)

test('a statement over the limit is named, and nothing of its migration is sent', async () => {
  const first = { '001': 'CREATE TABLE first (n INTEGER)' }
  await factory({ migrations: first }).provision('long')
  emulator.requests.length = 0
  const long = `INSERT INTO second VALUES ('${'x'.repeat(100_000)}')`
  const migrations = { ...first, '002': `CREATE TABLE second (t TEXT); ${long}` }
  const error = await captureError(factory({ migrations }).migrate('long'))
  expect(error).toMatchObject({ code: 'migration_failed', step: '002' })
  expect(error.message).toContain('statement 2 of 2')
  expect(error.message).toContain('100,000 bytes')
  const tables = "SELECT count(*) AS n FROM sqlite_master WHERE name = 'second'"
  expect(await emulator.oracle.execute('tenant_long', tables)).toEqual([{ n: 0 }])
})

test('a Kysely migration that fails after its first statement leaves the tenant migration_dirty', async () => {
  const up = async (db: any): Promise<void> => {
    await db.schema.createTable('half').addColumn('n', 'integer').execute()
    await db.insertInto('nowhere').values({ n: 1 }).execute()
  }
  const first = { '001': 'CREATE TABLE first (n INTEGER)' }
  await factory({ migrations: first }).provision('half')
  const broken = factory({ migrations: { ...first, '002': { up } } })
  expect((await captureError(broken.migrate('half'))).code).toBe('migration_failed')
  expect((await captureError(broken.getAdapters('half'))).code).toBe('migration_dirty')
})

test('concurrent runs apply each migration once', async () => {
  const first = { '001': 'CREATE TABLE hits (n INTEGER)' }
  await factory({ migrations: first }).provision('raced')
  const all = { ...first, '002': 'INSERT INTO hits VALUES (1)' }
  const applied = await Promise.all(
    Array.from({ length: 4 }, () => factory({ migrations: all }).migrate('raced')),
  )
  expect(applied.flat()).toEqual(['002'])
  expect(await emulator.oracle.execute('tenant_raced', 'SELECT n FROM hits')).toEqual([{ n: 1 }])
})
