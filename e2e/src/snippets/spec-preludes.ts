/** The text around a snippet of the specification that completes it to a module. */
export interface Surroundings {
  /** Declarations of the names that its text does not declare. */
  readonly prelude: string
  /** In place of a `// ...` in the text. */
  readonly rest?: string
  /** Text after it: the exports that the test reads. */
  readonly after?: string
}

const SETUP = `import { setupMultiTenancy } from '@tenantry/multi-tenancy'`
const FACTORY = `import type { DatabaseFactory } from '@tenantry/multi-tenancy'`
const REST = 'provision: async () => {}, deprovision: async () => {},'

/** Records the calls, in order. */
const CALLS = `
export const calls: string[] = []
const record = (name: string) => async (value: unknown): Promise<void> => { calls.push(name + ' ' + value) }`

/** Fictional adapters, each of one tenant. */
const ADAPTERS = `
interface DataAdapters { tenant: string; users: { list(): Promise<string[]> }; logs: { list(): Promise<string[]> } }
const table = (tenant: string, name: string) => ({ list: async () => [tenant + ' ' + name] })
const buildAdapters = (tenant: string): DataAdapters =>
  ({ tenant, users: table(tenant, 'users'), logs: table(tenant, 'logs') })`

const MEMORY_FACTORY = `import { createMemoryFactory } from '@tenantry/multi-tenancy/memory'
const memory = createMemoryFactory()
const factory = { ...memory, async provision(id: string) { calls.push('provision ' + id); await memory.provision(id) },
  async deprovision(id: string) { calls.push('deprovision ' + id); await memory.deprovision(id) } }`

const APP = `import { Hono } from 'hono'
const app = new Hono<{ Bindings: { data: DataAdapters }; Variables: { tenant_id: string } }>()
app.use(async (c, next) => { c.set('tenant_id', c.req.header('x-my-tenant') ?? ''); await next() })`

/** By heading; every snippet has an entry here. */
export const SURROUNDINGS: Readonly<Record<string, Surroundings>> = {
  'Database Factory Interface': {
    prelude: `import type { DatabaseFactory as Ours } from '@tenantry/multi-tenancy'${ADAPTERS}`,
    after: `declare const theirs: DatabaseFactory
declare const ours: Ours<DataAdapters>
export const both = (): [Ours<DataAdapters>, DatabaseFactory] => [theirs, ours]
export { buildAdapters }`,
  },
  'Cloudflare D1': {
    prelude: `${CALLS}
const env = { CF_ACCOUNT_ID: '0'.repeat(32), CF_API_TOKEN: 'a-token-of-the-account' }
const runMigrations = record('migrate')`,
    after: 'export { multiTenancy }',
  },
  'Turso / LibSQL': {
    prelude: `import type { Client } from '@libsql/client'
const env = { TURSO_API_TOKEN: 'a-token-of-the-platform' }
const createTursoAdapter = (client: Client) => ({ client })`,
    after: 'export { multiTenancy }',
  },
  'Custom Database Provider': {
    prelude: `${CALLS}${ADAPTERS}
const env = { DB_USER: 'user', DB_PASSWORD: 'password' }
const connectToDatabase = async (options: { host: string; user: string; password: string }) => options
const createMyAdapter = ({ host }: { host: string }) => buildAdapters(host)
const [createDatabase, runMigrations, seedDefaultData] = [record('create'), record('migrate'), record('seed')]
const [configureBackups, backupDatabase] = [record('configure backups'), record('back up')]
const [archiveData, deleteDatabase] = [record('archive'), record('delete')]`,
    after: 'export { multiTenancy }',
  },
  'Basic Setup': {
    prelude: `${SETUP}${ADAPTERS}
const getTenantDatabase = async (tenantId: string) => tenantId
const createAdapter = buildAdapters`,
    after: 'export { multiTenancy }',
  },
  'With Provisioning': {
    prelude: `${SETUP}${CALLS}
${MEMORY_FACTORY}
const [runMigrations, seedData] = [record('migrate'), record('seed')]`,
    after: 'export { multiTenancy }',
  },
  'With Deprovisioning': {
    prelude: `${SETUP}${CALLS}
${MEMORY_FACTORY}
const [backupDatabase, cleanupResources] = [record('back up'), record('clean up')]`,
    after: 'export { multiTenancy }',
  },
  'Middleware Integration': {
    prelude: `${ADAPTERS}
${APP}
const factory = { getAdapters: async (tenantId: string) => buildAdapters(tenantId) }`,
    after: `app.get('/who', (c) => c.json([c.env.data.tenant, c.get('tenant_id')]))
export { app }`,
  },
  'Connection Pooling': {
    prelude: `${FACTORY}${CALLS}${ADAPTERS}
const createConnection = async (tenantId: string) => { await record('connect')(tenantId); return buildAdapters(tenantId) }`,
    rest: REST,
    after: 'export { factory }',
  },
  'Migration Management': {
    prelude: `${CALLS}
const getTenantDatabase = async (tenantId: string) =>
  ({ getMigrationVersion: async () => 1, runMigration: (name: string) => record(tenantId)(name) })
const getPendingMigrations = async (version: number) => ['1', '2', '3'].slice(version)`,
    after: 'export { runMigrations }',
  },
  'Backup Strategy': {
    prelude: `${CALLS}
const createDatabase = record('create')
const scheduleBackup = async (tenantId: string, options: { frequency: string; retention: number }) =>
  record('back up')(tenantId + ' ' + options.frequency + ' ' + options.retention)`,
    after: 'export { provision }',
  },
  'Error Handling': {
    prelude: `${FACTORY}${CALLS}${ADAPTERS}
const connectToDatabase = async (tenantId: string): Promise<DataAdapters> => { throw new Error('no ' + tenantId) }
const connectToReadReplica = async (tenantId: string) => buildAdapters(tenantId + ' replica')
const console = { error: (text: string, error: unknown) => { calls.push(text + ' ' + error) } }`,
    rest: REST,
    after: 'export { factory }',
  },
  'Lazy Loading': {
    prelude: `import { createDatabaseMiddleware } from '@tenantry/multi-tenancy'${CALLS}${ADAPTERS}
${APP}
const getAdapters = async (tenantId: string) => { calls.push(tenantId); return buildAdapters(tenantId) }
app.use(createDatabaseMiddleware({ databaseIsolation: { getAdapters } }))`,
    after: 'export { app }',
  },
  Caching: {
    prelude: `import { LRUCache } from 'lru-cache'
${FACTORY}${CALLS}${ADAPTERS}
const createConnection = async (tenantId: string) => { await record('connect')(tenantId); return buildAdapters(tenantId) }`,
    rest: REST,
    after: 'export { cache, factory }',
  },
  'Read Replicas': {
    prelude: `${FACTORY}${ADAPTERS}
const connectToPrimary = async (tenantId: string) => ({ ...buildAdapters(tenantId), orders: table(tenantId, 'orders') })
const connectToReplica = async (tenantId: string, name: string) => table(tenantId + ' replica', name)`,
    rest: REST,
    after: 'export { factory }',
  },
}
