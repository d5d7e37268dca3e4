import { neverAborted } from '@tenantry/test-support'
import { escapeIdentifier } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { createProvider, open, type Provider } from './support.ts'

let database: TestDatabase
const providers: Provider[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const provider of providers) await provider.close()
  await database?.drop()
})

function start(options: Parameters<typeof createProvider>[1]): Provider {
  const provider = createProvider(database, options)
  providers.push(provider)
  return provider
}

describe('the limits of isolation that docs/postgres.md states for SQL of tenants', () => {
  it.each([
    ['role', false],
    ['set_role', true],
  ] as const)('%s: a block can take the role of another tenant: %s', async (isolation, works) => {
    const provider = start({ isolation })
    const [attacker] = [
      await open(provider, `${isolation}_free_a`),
      await open(provider, `${isolation}_free_b`),
    ]
    const { locator } = await provider.create(`${isolation}_free_b`, neverAborted)
    const block = `DO $$ BEGIN SET LOCAL ROLE ${escapeIdentifier(`tenantry_${locator.id}`)}; UPDATE ${isolation}_free_b.notes SET body = 'taken'; END $$`
    const outcome = await attacker.query(block).then(
      () => true,
      () => false,
    )
    expect(outcome).toBe(works)
    const [row] = await database.sql(`SELECT body FROM ${isolation}_free_b.notes`)
    expect(row?.body).toBe(works ? 'taken' : `of ${isolation}_free_b`)
    // Even then the next query has its own tenant again.
    expect((await attacker.query('SELECT body FROM notes')).rows).toEqual([
      { body: `of ${isolation}_free_a` },
    ])
  })

  it('search_path: a statement that names another schema reads it', async () => {
    const provider = start({ isolation: 'search_path' })
    const [attacker] = [await open(provider, 'path_free_a'), await open(provider, 'path_free_b')]
    expect((await attacker.query('SELECT body FROM path_free_b.notes')).rows).toEqual([
      { body: 'of path_free_b' },
    ])
  })

  it.each(['set_role', 'search_path'] as const)(
    '%s: a call accepts one statement only',
    async (isolation) => {
      const client = await open(start({ isolation }), `${isolation}_single`)
      await expect(client.query('SELECT 1; SELECT 2')).rejects.toMatchObject({ code: '42601' })
      await expect(client.query('RESET ROLE; SELECT 2')).rejects.toMatchObject({ code: '42601' })
    },
  )
})

it('set_role: a session that may not take the role of its tenant is closed, and the next session works', async () => {
  const provider = start({ isolation: 'set_role', maxConnections: 2 })
  const client = await open(provider, 'refused_role')
  const { locator } = await provider.create('refused_role', neverAborted)
  const [row] = await database.sql(
    "SELECT rolname FROM pg_roles WHERE rolname = 'tenantry_' || (SELECT oid FROM pg_database WHERE datname = current_database())",
  )
  const pid = async () => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid
  const before = await pid()
  const role = `tenantry_${locator.id}`
  await database.sql(`REVOKE "${role}" FROM "${row?.rolname}"`)
  expect(await client.query('SELECT 1').catch(provider.mapError)).toMatchObject({
    code: 'provider_unavailable',
    retryable: true,
  })
  await database.sql(`GRANT "${role}" TO "${row?.rolname}"`)
  expect(await pid()).not.toBe(before)
})

describe('a role', () => {
  it('has rights on its schema only, and none on public', async () => {
    const provider = start({ isolation: 'role' })
    await open(provider, 'rights_a')
    const { locator } = await provider.create('rights_a', neverAborted)
    const role = `tenantry_${locator.id}`
    const rights = await database.sql(
      "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' AND has_schema_privilege($1, oid, 'USAGE')",
      [role],
    )
    // The schema `tenantry` has one routine, which runs with the rights of its caller.
    expect(rights.map(({ nspname }) => nspname).sort()).toEqual(['rights_a', 'tenantry'])
    expect(
      await database.sql(
        "SELECT c.kind, c.name, c.definer, has_schema_privilege($1, 'tenantry', 'CREATE') AS creates FROM (" +
          "SELECT 'relation' AS kind, relname AS name, false AS definer, relnamespace AS place FROM pg_class UNION ALL " +
          "SELECT 'routine', proname, prosecdef, pronamespace FROM pg_proc) c WHERE c.place = 'tenantry'::regnamespace ORDER BY name",
        [role],
      ),
    ).toEqual([{ kind: 'routine', name: 'leave_4', definer: false, creates: false }])
    expect(
      await database.sql(
        'SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = $1',
        [role],
      ),
    ).toEqual([])
    expect(
      await database.sql("SELECT has_database_privilege($1, current_database(), 'CREATE') AS creates", [
        role,
      ]),
    ).toEqual([{ creates: false }])
  })

  it('of a tenant cannot log in with set_role, and the shared login owns nothing and inherits nothing', async () => {
    const provider = start({ isolation: 'set_role' })
    await open(provider, 'rights_b')
    const { locator } = await provider.create('rights_b', neverAborted)
    const [row] = await database.sql('SELECT rolcanlogin FROM pg_roles WHERE rolname = $1', [
      `tenantry_${locator.id}`,
    ])
    expect(row).toEqual({ rolcanlogin: false })
    const [login] = await database.sql(
      'SELECT rolinherit, rolsuper, rolcreaterole, (SELECT count(*)::int FROM pg_shdepend WHERE refobjid = r.oid AND deptype = $1) AS owns ' +
        "FROM pg_roles r WHERE rolname = 'tenantry_' || (SELECT oid FROM pg_database WHERE datname = current_database())",
      ['o'],
    )
    expect(login).toEqual({ rolinherit: false, rolsuper: false, rolcreaterole: false, owns: 0 })
  })
})

describe('citus', () => {
  it('distributes the schema in the transaction that creates the schema, before other sessions see it', async () => {
    const provider = start({ isolation: 'search_path', distribute: 'citus' })
    // The extension does not run here. This function stands for it and records its calls, with their transactions.
    await database.sql(
      'CREATE TABLE distributed (schema text, tables int, xid xid8 DEFAULT pg_current_xact_id());' +
        'SET allow_system_table_mods = on;' +
        "CREATE FUNCTION pg_catalog.citus_schema_distribute(s regnamespace) RETURNS void LANGUAGE sql AS 'INSERT INTO public.distributed SELECT s::text, (SELECT count(*) FROM pg_class WHERE relnamespace = s)'",
    )
    const { locator } = await provider.create('citus_a-b', neverAborted)
    const [row] = await database.sql(
      'SELECT a.schema, a.tables, a.xid::xid = n.xmin AS same FROM distributed a, pg_namespace n WHERE n.oid = $1',
      [locator.oid],
    )
    expect(row).toEqual({ schema: '"citus_a-b"', tables: 0, same: true })
    await database.sql(
      'SET allow_system_table_mods = on; DROP FUNCTION pg_catalog.citus_schema_distribute(regnamespace); DROP TABLE distributed',
    )
  })

  it('creates no schema without the extension', async () => {
    const provider = start({ isolation: 'role', distribute: 'citus' })
    await expect(provider.create('citus_b', neverAborted)).rejects.toMatchObject({ code: '42883' })
    expect(await database.sql("SELECT FROM pg_namespace WHERE nspname = 'citus_b'")).toEqual([])
    expect((await provider.list({ prefix: 'citus_b' }, neverAborted)).databases).toEqual([])
  })
})
