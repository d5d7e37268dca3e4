/** What stands around a snippet of the specification to make it a module. */
export interface Surroundings {
  /** The names its text leaves open. */
  readonly prelude: string
  /** In place of a `// ...` in the text. */
  readonly rest?: string
  /** After it: what the test looks at. */
  readonly after?: string
}

const SETUP = `import { setupMultiTenancy } from '@tenantry/multi-tenancy'`
const FACTORY = `import type { DatabaseFactory } from '@tenantry/multi-tenancy'`
const REST = 'provision: async () => {}, deprovision: async () => {},'

/** Tells the test who was called, in order. */
const CALLS = `
export const calls: string[] = []
const told = (name: string) => async (value: unknown): Promise<void> => { calls.push(name + ' ' + value) }`

/** Adapters of a made-up kind, each of one tenant. */
const ADAPTERS = `
interface DataAdapters { tenant: string; users: { list(): Promise<string[]> }; logs: { list(): Promise<string[]> } }
const table = (tenant: string, name: string) => ({ list: async () => [tenant + ' ' + name] })
const adaptersOf = (tenant: string): DataAdapters =>
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
export { adaptersOf }`,
  },
  'Cloudflare D1': {
    prelude: `${CALLS}
const env = { CF_ACCOUNT_ID: '0'.repeat(32), CF_API_TOKEN: 'a-token-of-the-account' }
const runMigrations = told('migrate')`,
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
const createMyAdapter = ({ host }: { host: string }) => adaptersOf(host)
const [createDatabase, runMigrations, seedDefaultData] = [told('create'), told('migrate'), told('seed')]
const [configureBackups, backupDatabase] = [told('configure backups'), told('back up')]
const [archiveData, deleteDatabase] = [told('archive'), told('delete')]`,
    after: 'export { multiTenancy }',
  },
  'Basic Setup': {
    prelude: `${SETUP}${ADAPTERS}
const getTenantDatabase = async (tenantId: string) => tenantId
const createAdapter = adaptersOf`,
    after: 'export { multiTenancy }',
  },
  'With Provisioning': {
    prelude: `${SETUP}${CALLS}
${MEMORY_FACTORY}
const [runMigrations, seedData] = [told('migrate'), told('seed')]`,
    after: 'export { multiTenancy }',
  },
  'With Deprovisioning': {
    prelude: `${SETUP}${CALLS}
${MEMORY_FACTORY}
const [backupDatabase, cleanupResources] = [told('back up'), told('clean up')]`,
    after: 'export { multiTenancy }',
  },
  'Middleware Integration': {
    prelude: `${ADAPTERS}
${APP}
const factory = { getAdapters: async (tenantId: string) => adaptersOf(tenantId) }`,
    after: `app.get('/who', (c) => c.json([c.env.data.tenant, c.get('tenant_id')]))
export { app }`,
  },
  'Connection Pooling': {
    prelude: `${FACTORY}${CALLS}${ADAPTERS}
const createConnection = async (tenantId: string) => { await told('connect')(tenantId); return adaptersOf(tenantId) }`,
    rest: REST,
    after: 'export { factory }',
  },
  'Migration Management': {
    prelude: `${CALLS}
const getTenantDatabase = async (tenantId: string) =>
  ({ getMigrationVersion: async () => 1, runMigration: (name: string) => told(tenantId)(name) })
const getPendingMigrations = async (version: number) => ['1', '2', '3'].slice(version)`,
    after: 'export { runMigrations }',
  },
  'Backup Strategy': {
    prelude: `${CALLS}
const createDatabase = told('create')
const scheduleBackup = async (tenantId: string, options: { frequency: string; retention: number }) =>
  told('back up')(tenantId + ' ' + options.frequency + ' ' + options.retention)`,
    after: 'export { provision }',
  },
  'Error Handling': {
    prelude: `${FACTORY}${CALLS}${ADAPTERS}
const connectToDatabase = async (tenantId: string): Promise<DataAdapters> => { throw new Error('no ' + tenantId) }
const connectToReadReplica = async (tenantId: string) => adaptersOf(tenantId + ' replica')
const console = { error: (text: string, error: unknown) => { calls.push(text + ' ' + error) } }`,
    rest: REST,
    after: 'export { factory }',
  },
  'Lazy Loading': {
    prelude: `import { createDatabaseMiddleware } from '@tenantry/multi-tenancy'${CALLS}${ADAPTERS}
${APP}
const getAdapters = async (tenantId: string) => { calls.push(tenantId); return adaptersOf(tenantId) }
app.use(createDatabaseMiddleware({ databaseIsolation: { getAdapters } }))`,
    after: 'export { app }',
  },
  Caching: {
    prelude: `import { LRUCache } from 'lru-cache'
${FACTORY}${CALLS}${ADAPTERS}
const createConnection = async (tenantId: string) => { await told('connect')(tenantId); return adaptersOf(tenantId) }`,
    rest: REST,
    after: 'export { cache, factory }',
  },
  'Read Replicas': {
    prelude: `${FACTORY}${ADAPTERS}
const connectToPrimary = async (tenantId: string) => ({ ...adaptersOf(tenantId), orders: table(tenantId, 'orders') })
const connectToReplica = async (tenantId: string, name: string) => table(tenantId + ' replica', name)`,
    rest: REST,
    after: 'export { factory }',
  },
}
