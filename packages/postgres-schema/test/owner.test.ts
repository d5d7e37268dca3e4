import { createPostgresSchemaFactory } from '@tenantry/postgres-schema'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'

let database: TestDatabase
const closing: (() => Promise<void>)[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const close of closing) await close()
  await database?.drop()
})

const NOTES = 'CREATE TABLE notes (id serial PRIMARY KEY, body text NOT NULL)'

describe('role: a table that migrations create', () => {
  const isolation = 'role'
  const prefix = 'role_own_'
  function factoryWith(migrations: Record<string, string>) {
    const { url: connection, secret } = database
    const factory = createPostgresSchemaFactory({
      connection,
      secret,
      isolation,
      databasePrefix: prefix,
      idleTimeout: 200,
      migrations,
      createAdapters: (pool: Pool) => ({ pool }),
    })
    closing.push(factory.close)
    return factory
  }
  async function openServing(id: string): Promise<Pool> {
    const factory = factoryWith({ '001_notes': NOTES })
    await factory.provision(id)
    return (await factory.getAdapters(id)).pool
  }

  it('can be read and written by the tenant, which can create tables of its own beside it', async () => {
    const pool = await openServing('use')
    await pool.query('INSERT INTO notes (body) VALUES ($1)', ['one'])
    await pool.query('UPDATE notes SET body = $1', ['two'])
    expect((await pool.query('SELECT id, body FROM notes')).rows).toEqual([{ id: 1, body: 'two' }])
    await pool.query('TRUNCATE notes')
    await pool.query('CREATE TABLE own (id int)')
    expect((await pool.query('SELECT * FROM own')).rows).toEqual([])
    await pool.query('DROP TABLE own')
  })

  it.each([
    ['change its shape', 'ALTER TABLE notes ADD COLUMN more int'],
    ['drop it', 'DROP TABLE notes'],
    ['put a trigger on it', 'CREATE TRIGGER t BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()'],
    ['give it away', 'ALTER TABLE notes OWNER TO CURRENT_USER'],
    ['write the stamp', "UPDATE tenantry_identity SET tenant_id = 'other'"],
    ['delete the journal', 'DELETE FROM tenantry_migrations'],
    ['empty the lock', 'TRUNCATE tenantry_lock'],
  ])('does not let a request %s', async (what, text) => {
    const pool = await openServing(`no-${what.replaceAll(/[^a-z]+/g, '-')}`)
    await expect(pool.query(text)).rejects.toMatchObject({ code: '42501' })
  }) // biome-ignore format: a table

  it('is changed by the next migration, and so are tables that requests have created', async () => {
    const first = factoryWith({ '001_notes': NOTES })
    await first.provision('next')
    const { pool } = await first.getAdapters('next')
    await pool.query('CREATE TABLE own (id int)')
    const second = factoryWith({
      '001_notes': NOTES,
      '002_more':
        'ALTER TABLE notes ADD COLUMN more int; ALTER TABLE own ADD COLUMN more int; CREATE TABLE third (id int)',
    })
    expect(await second.migrate('next')).toEqual(['002_more'])
    for (const table of ['notes', 'own', 'third']) await pool.query(`SELECT * FROM ${table}`)
  })

  it('has a trigger of a request run in a migration with the rights of the owner role only', async () => {
    const first = factoryWith({ '001_notes': NOTES })
    await first.provision('victim')
    await first.provision('attacker')
    const { pool } = await first.getAdapters('attacker')
    await pool.query('CREATE TABLE own (id int)')
    await pool.query('INSERT INTO own VALUES (1)')
    await pool.query(
      `CREATE FUNCTION escape() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RESET ROLE; UPDATE ${prefix}victim.notes SET body = 'taken'; RETURN NEW; END $$`,
    )
    await pool.query('CREATE TRIGGER t BEFORE UPDATE ON own FOR EACH ROW EXECUTE FUNCTION escape()')
    const second = factoryWith({ '001_notes': NOTES, '002_own': 'UPDATE own SET id = 2' })
    await expect(second.migrate('attacker')).rejects.toMatchObject({
      code: 'migration_failed',
      cause: expect.objectContaining({ message: expect.stringContaining('permission denied') }),
    })
  })
})

it('role: the owner role of a tenant is a member of the serving role, and neither role has another membership', async () => {
  const { url: connection, secret } = database
  const factory = createPostgresSchemaFactory({ connection, secret, databasePrefix: 'member_' })
  closing.push(factory.close)
  await factory.provision('acme')
  const rows = await database.sql(
    "SELECT m.rolname LIKE '%\\_owner' AS owner, g.rolname || '_owner' = m.rolname AS own FROM pg_auth_members a " +
      'JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member ' +
      "WHERE m.rolname LIKE 'tenantry\\_' || (SELECT substr(obj_description(oid, 'pg_namespace'), 10) FROM pg_namespace WHERE nspname = 'member_acme') || '%'",
  )
  expect(rows).toEqual([{ owner: true, own: true }])
})
