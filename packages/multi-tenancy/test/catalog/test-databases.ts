import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Kysely, MysqlDialect, PostgresDialect, sql } from 'kysely'
import { createPool } from 'mysql2'
import { Pool } from 'pg'
import { openSqlite as sqlite } from '../../src/memory/index.ts'
import type { Dialect } from '../../src/types/provider.ts'
import { libsql } from './libsql.ts'

/** How a process of its own reaches the same database: plain JSON. */
export interface Address {
  readonly kind: Kind
  readonly at: string
}

export type Kind = 'sqlite' | 'libsql' | 'postgres' | 'mysql'

/** An empty database of a test's own. */
export interface TestDatabase {
  readonly address: Address
  readonly dialect: Dialect
  /** Another connection (or pool of them), closed by `cleanup`. */
  open(): Kysely<any>
  cleanup(): Promise<void>
}

const DIALECTS = { sqlite: 'sqlite', libsql: 'sqlite', postgres: 'postgres', mysql: 'mysql' } as const

const POSTGRES = process.env.TENANTRY_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/postgres'
const MYSQL = process.env.TENANTRY_MYSQL_URL ?? 'mysql://root@127.0.0.1:3306/'

/** Kysely over one of the databases a catalog runs on. */
export function connect({ kind, at }: Address): Kysely<any> {
  if (kind === 'sqlite') return sqlite(at)
  if (kind === 'libsql') return libsql(at)
  if (kind === 'postgres') {
    const pool = new Pool({ connectionString: at, max: 8, connectionTimeoutMillis: 3_000 })
    pool.on('error', () => {})
    return new Kysely<any>({ dialect: new PostgresDialect({ pool }) })
  }
  return new Kysely<any>({
    dialect: new MysqlDialect({
      pool: createPool({ uri: at, connectionLimit: 8, connectTimeout: 3_000 }),
    }),
  })
}

export function getDialect({ kind }: Address): Dialect {
  return DIALECTS[kind]
}

/** The kinds of database that are to be had here; the others are printed. */
export async function kindsHere(): Promise<Kind[]> {
  const kinds: Kind[] = ['sqlite', 'libsql']
  for (const [kind, at] of [
    ['postgres', POSTGRES],
    ['mysql', MYSQL],
  ] as const) {
    const db = connect({ kind, at })
    try {
      await sql`select 1`.execute(db)
      kinds.push(kind)
    } catch (error) {
      console.log(`Not tested on ${kind}: ${at} does not answer (${(error as Error).message})`)
    } finally {
      await db.destroy()
    }
  }
  return kinds
}

/** An empty database of this kind, of a name of its own. */
export async function makeDatabase(kind: Kind): Promise<TestDatabase> {
  const opened: Kysely<any>[] = []
  const { address, drop } = kind === 'sqlite' || kind === 'libsql' ? inFolder(kind) : await onServer(kind)
  return {
    address,
    dialect: DIALECTS[kind],
    open() {
      const db = connect(address)
      opened.push(db)
      return db
    },
    async cleanup() {
      await Promise.all(opened.map((db) => db.destroy()))
      await drop()
    },
  }
}

interface CreatedDatabase {
  readonly address: Address
  drop(): Promise<void>
}

function inFolder(kind: 'sqlite' | 'libsql'): CreatedDatabase {
  const folder = mkdtempSync(path.join(tmpdir(), 'tenantry-catalog-'))
  return {
    address: { kind, at: path.join(folder, 'catalog.db') },
    drop: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

async function onServer(kind: 'postgres' | 'mysql'): Promise<CreatedDatabase> {
  const server = kind === 'postgres' ? POSTGRES : MYSQL
  const name = `catalog_${Math.random().toString(36).slice(2, 10)}`
  const url = new URL(server)
  url.pathname = `/${name}`
  // As unhelpful as a server can be set up: what the catalog needs, its own tables must say.
  const options =
    kind === 'mysql' ? 'CHARACTER SET latin1 COLLATE latin1_swedish_ci' : "ENCODING 'UTF8' TEMPLATE template0"
  await administer(kind, server, `CREATE DATABASE ${name} ${options}`)
  return {
    address: { kind, at: url.href },
    drop: () =>
      administer(kind, server, `DROP DATABASE ${name}${kind === 'postgres' ? ' WITH (FORCE)' : ''}`),
  }
}

async function administer(kind: 'postgres' | 'mysql', at: string, statement: string): Promise<void> {
  const db = connect({ kind, at })
  try {
    await sql.raw(statement).execute(db)
  } finally {
    await db.destroy()
  }
}
