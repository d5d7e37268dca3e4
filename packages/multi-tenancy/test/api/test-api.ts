import { Hono } from 'hono'
import type { Kysely } from 'kysely'
import type { TenantRow } from '../../src/catalog/schema.ts'
import { createCatalog } from '../../src/catalog.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import {
  createMemoryProvider,
  createMemoryServer,
  type MemoryClient,
  type MemoryServer,
  openSqlite,
} from '../../src/memory/index.ts'
import { type MultiTenancy, type MultiTenancyConfig, setupMultiTenancy } from '../../src/setup.ts'
import type { AccessControlOptions } from '../../src/types/access-control.ts'
import type { Lifecycle } from '../../src/types/lifecycle.ts'
import type { TenantFactory } from '../../src/types/tenant-factory.ts'
import { payloadFromHeader } from '../middleware/test-databases.ts'
import { type Contract, createContract } from './contract.ts'

type Adapters = { db: Kysely<any> }

export interface TestApi extends Contract {
  /** The API is at `/tenants`, behind a stand-in for a token check. */
  readonly app: Hono
  readonly multiTenancy: MultiTenancy<Adapters>
  readonly factory: TenantFactory<Adapters>
  readonly lifecycle: Lifecycle
  readonly db: Kysely<any>
  readonly server: MemoryServer
  /** As the control plane, with JSON. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** Records every statement of the catalog from now on. */
  watch(statements: string[]): void
  /** Changes a row of the catalog without the lifecycle. */
  updateTenantRow(id: string, change: Partial<TenantRow>): Promise<void>
}

export interface Answer {
  readonly status: number
  readonly body: any
  readonly headers: Headers
}

export interface ApiOptions {
  readonly accessControl?: AccessControlOptions
  readonly executor?: (operationId: string) => Promise<void>
  readonly now?: () => number
  /** Another process over the same catalog and databases. */
  readonly beside?: TestApi
  /** The headers of every call. @default the control plane's token */
  readonly headers?: Record<string, string>
  /** The document, for callers that may not read it. */
  readonly document?: Contract['document']
  /** Returns options that extend or replace the factory in the configuration. */
  readonly config?: (factory: TenantFactory<Adapters>) => Partial<MultiTenancyConfig<Adapters>>
}

export const CONTROL = { 'x-test-payload': '{"tenant_id":"main"}' }

/** The tenants API over a catalog in SQLite and databases in memory. */
export async function createTestApi({
  accessControl = { controlPlaneTenantId: 'main' },
  executor,
  now,
  beside,
  headers: own = CONTROL,
  document,
  config = () => ({}),
}: ApiOptions = {}): Promise<TestApi> {
  const db: Kysely<any> = beside?.db ?? openSqlite()
  let watching: string[] | undefined
  const watched = db.withPlugin({
    transformQuery({ node }) {
      watching?.push(node.kind)
      return node
    },
    transformResult: async ({ result }) => result,
  })
  const server = beside?.server ?? createMemoryServer()
  const provider = { ...createMemoryProvider(server), placements: ['eu', 'us'] }
  const factory = defineFactory<MemoryClient, Adapters>(provider, {
    migrations: { '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)' },
    catalog: createCatalog({ db: watched, dialect: 'sqlite', ...(executor && { executor }) }),
    ...(now && { environment: { now } }),
  })
  const { lifecycle } = factory
  if (lifecycle === undefined) throw new Error('The factory has no lifecycle')
  const multiTenancy = setupMultiTenancy<Adapters>({
    databaseIsolation: factory,
    accessControl,
    ...config(factory),
  })
  const app = new Hono()
  payloadFromHeader(app)
  app.route('/tenants', multiTenancy.app)
  const contract = await createContract(app, '/tenants', own, document)
  return {
    ...contract,
    app,
    multiTenancy,
    factory,
    lifecycle,
    db,
    server,
    async call(method, path, body, headers = {}) {
      const json = body === undefined ? {} : { 'content-type': 'application/json' }
      const response = await contract.request(path, {
        method,
        headers: { ...own, ...json, ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return {
        status: response.status,
        body: text === '' ? undefined : JSON.parse(text),
        headers: response.headers,
      }
    },
    watch(statements) {
      watching = statements
    },
    async updateTenantRow(id, change) {
      await db.updateTable('tenantry_tenants').set(change).where('tenant_id', '=', id).execute()
    },
  }
}
