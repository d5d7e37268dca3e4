import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ConnectTarget,
  classifyConnectionError,
  createErrorMap,
  createLeasedClient,
  createLeasePool,
  type LeasedClient,
  type Locator,
  type Row,
  type Statement,
  type StatementResult,
  sqliteMigrationSql,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { createTempFolder } from '@tenantry/test-support'
import { type Harness, testProvider } from '../src/index.ts'

const MAX_CONNECTIONS = 8
const LOCK_TIMEOUT = 5_000

interface Connection {
  readonly database: DatabaseSync
  readonly path: string
  /** A setting or a temporary table may be left, which the next user must not meet. */
  isTainted: boolean
}

const { mapError } = createErrorMap({
  classify: ({ message }) => (message.includes('locked') ? 'provider_unavailable' : 'provider_rejected'),
})

/** A pooled provider in the least code: SQLite files, a lease pool and `createLeasedClient`. */
function createFileProvider(root: string, open: Set<Connection>): TenantProvider<LeasedClient> {
  const toPath = ({ name, id }: Locator): string => path.join(root, `${name}~${id}.db`)
  const list = (): { name: string; id: string }[] =>
    readdirSync(root)
      .filter((file) => file.endsWith('.db'))
      .map((file) => file.slice(0, -'.db'.length).split('~'))
      .map(([name = '', id = '']) => ({ name, id }))
  const findDatabase = (name: string): Locator | undefined =>
    list().find((database) => database.name === name)

  const pool = createLeasePool<Connection, ConnectTarget>({
    max: MAX_CONNECTIONS,
    maxPerKey: MAX_CONNECTIONS,
    async open({ locator, verify }) {
      const file = toPath(locator)
      const connection = { database: new DatabaseSync(file, { timeout: 0 }), path: file, isTainted: false }
      connection.database.exec('PRAGMA synchronous = OFF')
      await verify(async (statement) => (await run(connection, statement)).rows)
      open.add(connection)
      return connection
    },
    clean: ({ database, isTainted }) => !isTainted && !database.isTransaction,
    async close(connection) {
      open.delete(connection)
      connection.database.close()
    },
  })

  function assertExists({ locator, onDatabaseGone }: ConnectTarget): void {
    if (existsSync(toPath(locator))) return
    const replacement = findDatabase(String(locator.name))
    throw classifyConnectionError(replacement && { same: false }, { onDatabaseGone })
  }

  return {
    name: 'pooled-files',
    capabilities: { dialect: 'sqlite', transactions: true, transactionalDdl: true },
    migrationSql: sqliteMigrationSql,
    naming: { maxLength: 60, separator: '_' },
    async create(name) {
      const existing = findDatabase(name)
      if (existing !== undefined) return { locator: existing, created: false }
      const locator = { name, id: randomUUID() }
      writeFileSync(toPath(locator), '')
      return { locator, created: true }
    },
    find: async (name) => findDatabase(name),
    drop: (locator) =>
      pool.drain(toPath(locator), {
        deadline: 1_000,
        during: async () => rmSync(toPath(locator), { force: true }),
      }),
    async list({ prefix }) {
      const databases = list().filter(({ name }) => name.startsWith(prefix))
      return { databases: databases.map((locator) => ({ name: locator.name, locator })) }
    },
    async connect(target) {
      assertExists(target)
      const client = createLeasedClient<Connection>({
        dialect: 'sqlite',
        async acquire() {
          await target.beforeUse?.()
          assertExists(target)
          return pool.acquire(toPath(target.locator), target)
        },
        run(connection, statement) {
          assertExists(target)
          return run(connection, statement)
        },
        onEnd: target.onDatabaseGone,
      })
      return client
    },
    query: (client, statement) => client.query(statement),
    batch: (client, statements) => client.batch(statements),
    kysely: (client) => client.kysely(),
    mapError,
    close: () => pool.close({ deadline: 1_000 }),
  }
}

/** Runs a statement, and waits for the lock of another connection without blocking the event loop. */
async function run(connection: Connection, { sql, params = [] }: Statement): Promise<StatementResult> {
  if (/pragma|\btemp/i.test(sql)) connection.isTainted = true
  const deadline = Date.now() + LOCK_TIMEOUT
  for (;;) {
    try {
      // The write lock first: a transaction that asks for it later cannot wait for it.
      return execute(connection.database, sql === 'BEGIN' ? 'BEGIN IMMEDIATE' : sql, params)
    } catch (error) {
      if (!(error instanceof Error && error.message.includes('locked')) || Date.now() > deadline) throw error
      await sleep(2)
    }
  }
}

function execute(
  database: DatabaseSync,
  sql: string,
  params: NonNullable<Statement['params']>,
): StatementResult {
  const statement = database.prepare(sql)
  const values = params.map((value) =>
    typeof value === 'boolean' ? Number(value) : value,
  ) as SQLInputValue[]
  if (statement.columns().length > 0) return { rows: statement.all(...values) as Row[] }
  const { changes, lastInsertRowid } = statement.run(...values)
  return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
}

function createHarness(): Harness<LeasedClient> {
  const root = createTempFolder('leased')
  const open = new Set<Connection>()
  async function query(name: string, sql: string): Promise<Row[]> {
    const file = readdirSync(root).find((entry) => entry.startsWith(`${name}~`) && entry.endsWith('.db'))
    if (file === undefined) throw new Error(`The oracle finds no database ${name}`)
    const database = new DatabaseSync(path.join(root, file), { timeout: LOCK_TIMEOUT })
    try {
      return execute(database, sql, []).rows
    } finally {
      database.close()
    }
  }
  return {
    provider: createFileProvider(root, open),
    createProvider: () => createFileProvider(root, open),
    connectionLimit: 3 * MAX_CONNECTIONS,
    countConnections: async (name) =>
      [...open].filter((connection) =>
        path.basename(connection.path).startsWith(name === undefined ? '' : `${name}~`),
      ).length,
    withoutSqlIsolation: 'a SQLite connection can attach any file',
    oracle: {
      listDatabases: async (prefix) =>
        readdirSync(root)
          .filter((file) => file.endsWith('.db') && file.startsWith(prefix))
          .map((file) => file.split('~')[0] ?? ''),
      query,
      execute: async (name, sql) => void (await query(name, sql)),
    },
    cleanup: async () => rmSync(root, { recursive: true, force: true }),
  }
}

testProvider('pooled files', createHarness)
