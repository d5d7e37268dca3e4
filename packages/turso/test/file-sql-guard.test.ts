import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { type Client, createClient } from '@libsql/client/sqlite3'
import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { CompiledQuery } from 'kysely'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createLibsqlFileProvider } from '../src/file/index.ts'
import { readTokens } from '../src/file/sql-guard.ts'
import { DEADLY_SQL, hostileSql, INNOCENT_SQL } from './hostile-sql.ts'

const SECRET = 'secret of the victim'
const WRITABLE = 'PRAGMA writable_schema = ON;'
const root = mkdtempSync(path.join(tmpdir(), 'tenantry-guard-'))
const outside = mkdtempSync(path.join(tmpdir(), 'tenantry-outside-'))
const free = path.join(outside, 'free.db')
const call = { signal: new AbortController().signal }
let provider: TenantProvider<Client>
let client: Client
let victim: string

async function open(name: string): Promise<Client> {
  const { locator } = await provider.create(name, call)
  return provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
}

beforeAll(async () => {
  provider = createLibsqlFileProvider({ root })
  const other = await open('tenant_victim')
  await other.batch(['CREATE TABLE notes (id, body)', `INSERT INTO notes VALUES (1, '${SECRET}')`], 'write')
  await other.execute('PRAGMA wal_checkpoint(TRUNCATE)')
  const folder = path.join(root, 'tenant_victim')
  victim = path.join(folder, readdirSync(folder).find((entry) => entry.endsWith('.db')) ?? '')
  client = await open('tenant_own')
  await client.execute('CREATE TABLE notes (id, body)')
})

afterAll(async () => {
  await provider.close()
  rmSync(root, { recursive: true })
  rmSync(outside, { recursive: true })
})

/** Every way SQL gets to the engine. */
const WAYS: Record<string, (sql: string) => Promise<unknown>> = {
  execute: (sql) => client.execute(sql),
  'execute with arguments': (sql) => client.execute({ sql, args: [victim] }),
  batch: (sql) => client.batch(['SELECT 1', sql], 'write'),
  'batch of pairs': (sql) => client.batch([[sql, [victim]]], 'deferred'),
  migrate: (sql) => client.migrate([sql]),
  executeMultiple: (sql) => client.executeMultiple(sql),
  'transaction.execute': (sql) => inTransaction((transaction) => transaction.execute(sql)),
  'transaction.batch': (sql) => inTransaction((transaction) => transaction.batch([sql])),
  'transaction.executeMultiple': (sql) => inTransaction((transaction) => transaction.executeMultiple(sql)),
  "Kysely's raw SQL": (sql) => provider.kysely(client).executeQuery(CompiledQuery.raw(sql)),
  "Kysely's transaction": (sql) =>
    provider
      .kysely(client)
      .transaction()
      .execute((trx) => trx.executeQuery(CompiledQuery.raw(sql))),
  'provider.query': (sql) => provider.query(client, { sql }),
  'provider.batch': (sql) => provider.batch(client, [{ sql }]),
}

async function inTransaction(
  work: (transaction: Awaited<ReturnType<Client['transaction']>>) => Promise<unknown>,
): Promise<unknown> {
  const transaction = await client.transaction('write')
  try {
    return await work(transaction)
  } finally {
    transaction.close()
  }
}

describe("SQL that leaves the tenant's database", () => {
  for (const [way, run] of Object.entries(WAYS)) {
    it(`is refused through ${way}, and nothing happens`, async () => {
      const before = readFileSync(victim)
      for (const sql of hostileSql(victim, free)) {
        const outcome = await run(sql).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        )
        expect(outcome, sql).toMatchObject({ error: { code: 'statement_refused' } })
        expect(inspect(outcome, { depth: 10 }), sql).not.toContain(SECRET)
      }
      expect(readFileSync(victim).equals(before)).toBe(true)
      expect(existsSync(free)).toBe(false)
      expect(readdirSync(root).sort()).toEqual(['tenant_own', 'tenant_victim'])
    })
  }

  it('is refused when an object returns another text the second time', async () => {
    let reads = 0
    const shifty = {
      args: [],
      get sql() {
        return reads++ === 0 ? 'SELECT 1' : `ATTACH '${victim}' AS v`
      },
    }
    await client.execute(shifty)
    expect(reads).toBe(1)
    const text = { toString: () => 'SELECT 1' } as unknown as string
    await expect(client.execute(text)).rejects.toThrow(TypeError)
    await expect(client.execute({ sql: text, args: [] })).rejects.toThrow('SQL must be a string')
  })

  it('mostly works without the guard, so the corpus proves something', () => {
    // In a process of its own: some statements change the whole process, such as PRAGMA hard_heap_limit.
    const script = `
      import { createClient } from '@libsql/client/sqlite3'
      const worked = []
      for (const [index, sql] of JSON.parse(process.env.CORPUS).entries()) {
        const client = createClient({ url: 'file:' + process.env.BARE + index + '.db' })
        await client.execute('PRAGMA synchronous = OFF')
        await client.execute('CREATE TABLE notes (id, body)')
        await client.execute('CREATE TABLE vectors (id INTEGER PRIMARY KEY, e F32_BLOB(3))')
        await client.execute('CREATE VIRTUAL TABLE old USING fts5(body)')
        await client.execute('CREATE INDEX near ON vectors(libsql_vector_idx(e))')
        await client.executeMultiple(sql).then(() => worked.push(sql), () => {})
        client.close()
      }
      process.stdout.write(JSON.stringify(worked))`
    const corpus = hostileSql(victim, free).filter((sql) => !sql.includes('_heap_limit'))
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: path.dirname(import.meta.dirname),
      env: { ...process.env, CORPUS: JSON.stringify(corpus), BARE: path.join(outside, 'bare') },
      encoding: 'utf8',
    })
    const worked: string[] = JSON.parse(output)
    // The rest SQLite refuses itself: nothing to detach, a file name that is NULL, an impure index, an empty PRAGMA; the
    // vector index fails after it has run what its name says.
    const refused = corpus.filter((sql) => !worked.includes(sql))
    expect(refused.length, refused.join('\n')).toBeLessThanOrEqual(9)
  })
})

describe('SQL that ends the process', () => {
  /** How a process of its own ends that runs a statement in a file, with the guard or without. */
  function run(way: 'guarded' | 'bare', statement: (typeof DEADLY_SQL)[number], index: number) {
    const script = `
      const { ENTRY, ROOT, NAME, STATEMENT } = process.env
      const call = { signal: new AbortController().signal }
      async function guarded() {
        const { createLibsqlFileProvider } = await import(ENTRY)
        const provider = createLibsqlFileProvider({ root: ROOT })
        const { locator } = await provider.create(NAME, call)
        return provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      }
      async function bare() {
        const { createClient } = await import('@libsql/client/sqlite3')
        return createClient({ url: ':memory:' })
      }
      const client = await ${way}()
      process.stdout.write(await client.execute(JSON.parse(STATEMENT)).then(() => 'ran', ({ code }) => code))
      process.exit()`
    const NAME = `tenant_deadly_${index}`
    const ENTRY = path.join(import.meta.dirname, '../src/file/index.ts')
    return spawnSync(
      process.execPath,
      ['--input-type=module', '--disable-warning=ExperimentalWarning', '-e', script],
      {
        cwd: path.dirname(import.meta.dirname),
        env: {
          ...process.env,
          ENTRY,
          ROOT: path.join(outside, 'deadly'),
          NAME,
          STATEMENT: JSON.stringify(statement),
        },
        encoding: 'utf8',
      },
    )
  }

  it.each(DEADLY_SQL.map((statement, index) => ({ ...statement, index })))(
    'is refused: $sql',
    ({ sql, args, index }) => {
      expect(run('bare', { sql, args }, index).signal).not.toBeNull()
      expect(run('guarded', { sql, args }, index)).toMatchObject({
        signal: null,
        stdout: 'statement_refused',
      })
    },
    30_000,
  )
})

describe('a file from elsewhere', () => {
  const elsewhere = mkdtempSync(path.join(tmpdir(), 'tenantry-elsewhere-'))
  const after = createLibsqlFileProvider({ root: elsewhere })
  afterAll(async () => {
    await after.close()
    rmSync(elsewhere, { recursive: true })
  })

  const schemas: Record<string, string[]> = {
    'a full-text index, which ranks with any function named in a parameter': [
      'CREATE VIRTUAL TABLE search USING fts5(body)',
    ],
    'a vector index': [
      'CREATE TABLE vectors (id INTEGER PRIMARY KEY, e F32_BLOB(3))',
      'CREATE INDEX near ON vectors(libsql_vector_idx(e))',
    ],
    'a view that reads files': ["CREATE VIEW v AS SELECT readfile('/etc/passwd') AS a"],
    'a trigger that writes files': [
      'CREATE TABLE t (a)',
      "CREATE TRIGGER z AFTER INSERT ON t BEGIN SELECT writefile('x', 'x'); END",
    ],
    // SQLite reads the bytes as the text they are; a reader may not.
    'a schema kept as bytes': [
      "CREATE VIEW v AS SELECT readfile('/etc/passwd') AS a",
      `${WRITABLE} UPDATE sqlite_schema SET sql = CAST(sql AS BLOB)`,
    ],
    'a schema with an end before its end': [
      "CREATE VIEW v AS SELECT readfile('/etc/passwd') AS a",
      `${WRITABLE} UPDATE sqlite_schema SET sql = sql || char(0) || 'x'`,
    ],
    'a schema in UTF-16': [
      "PRAGMA encoding = 'UTF-16be'; CREATE VIEW v AS SELECT readfile('/etc/passwd') AS a",
    ],
    // An index of the schema itself, with other content than the schema's.
    'a schema that an index hides': [
      'CREATE TABLE t (type, name, tbl_name, rootpage, sql); CREATE INDEX i ON t(sql)',
      "INSERT INTO t (sql) VALUES ('CREATE TABLE nothing (a)')",
      "CREATE VIEW v AS SELECT readfile('/etc/passwd') AS a",
      `${WRITABLE} UPDATE sqlite_schema SET tbl_name = 'sqlite_master', sql = 'CREATE INDEX i ON sqlite_master(sql)'
        WHERE name = 'i'`,
    ],
  }

  /** A tenant's database after `statements` ran in it without the guard, as the next process opens it. */
  async function bring(name: string, statements: readonly string[], to = after): Promise<Client> {
    const before = createLibsqlFileProvider({ root: elsewhere })
    const { locator } = await before.create(name, call)
    await before.close()
    const folder = path.join(elsewhere, name)
    const file = path.join(folder, readdirSync(folder).find((entry) => entry.endsWith('.db')) ?? '')
    const bare = createClient({ url: `file:${file}` })
    for (const sql of statements) await bare.executeMultiple(sql)
    bare.close()
    return to.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
  }

  for (const [index, [what, statements]] of Object.entries(schemas).entries()) {
    it(`is not opened when its schema holds ${what}`, async () => {
      const opened = await bring(`tenant_brought_${index}`, statements)
      await expect(opened.execute('SELECT 1')).rejects.toMatchObject({ code: 'statement_refused' })
    })
  }

  it.each([
    ['lies', ['CREATE TABLE pragma_function_list (name); CREATE TABLE pragma_module_list (name)']],
    ['runs', ["CREATE VIEW pragma_function_list AS SELECT json('nonsense') AS name"]],
  ])(
    "with %s in place of the engine's function list is not asked for that list, even when it is opened first",
    async (how, statements) => {
      vi.resetModules()
      const fresh = await import('../src/file/index.ts')
      const first = fresh.createLibsqlFileProvider({ root: elsewhere })
      const brought = await bring(`tenant_first_${how}`, statements, first)
      await expect(brought.execute('SELECT 1')).rejects.toMatchObject({ code: 'statement_refused' })
      const honest = await bring(`tenant_honest_${how}`, [], first)
      for (const sql of ['SELECT fts5_source_id()', 'CREATE VIRTUAL TABLE t USING fts3tokenize(simple)']) {
        await expect(honest.execute(sql)).rejects.toMatchObject({ code: 'statement_refused' })
      }
      await first.close()
    },
  )

  it('is refused with a vector index, which runs the SQL in its name', async () => {
    const target = path.join(outside, 'attached.db')
    const bare = createClient({ url: `file:${path.join(outside, 'bare.db')}` })
    await bare.execute('CREATE TABLE vectors (id INTEGER PRIMARY KEY, e F32_BLOB(3))')
    const name = `x (a); ATTACH '${target}' AS y; CREATE TABLE y.t (a); --`
    await bare.execute(`CREATE INDEX "${name}" ON vectors(libsql_vector_idx(e))`).catch(() => {})
    bare.close()
    expect(existsSync(target)).toBe(true)
  })
})

describe('SQL with the same words in other places', () => {
  it('runs', async () => {
    for (const sql of INNOCENT_SQL) {
      await client.execute(sql).catch((error: unknown) => expect.fail(`${sql}: ${String(error)}`))
    }
  })
})

describe('the tokenizer', () => {
  it.each([
    ["SELECT 'a''b;' ;", ['select', "a'b;", ';']],
    ['"a""b"`c``d`[e"f]', ['a"b', 'c`d', 'e"f']],
    ['a--b\nc/*d*/e/*f', ['a', 'c', 'e']],
    ['/*', ['/', '*']],
    ['1e5x.5', ['1e5x', '.', '5']],
    ['$a:b@c::d?1', ['?', '?', '?', '?']],
    ['\ufeffa\ufeffb', ['a\ufeffb']],
    ["x'ab''; cd'e", ['x', "ab'; cd", 'e']],
  ])('cuts %j as SQLite does', (sql, values) => {
    expect(readTokens(sql)?.map(({ value }) => value)).toEqual(values)
  })
})
