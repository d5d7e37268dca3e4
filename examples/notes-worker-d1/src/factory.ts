import { createD1Factory, type D1Access, type D1Database, type Dispatcher, d1Kysely } from '@tenantry/d1'
import { cloudflareEmulatorDispatcher } from '@tenantry/emulators/client'
import type { TenantFactory } from '@tenantry/multi-tenancy'
import { migrations, type NotesAdapters, type NotesDatabase, seedDemo } from '@tenantry-examples/notes'
import { Kysely } from 'kysely'

export interface Env {
  readonly BASE_DOMAIN: string
  readonly CLOUDFLARE_ACCOUNT_ID: string
  readonly CLOUDFLARE_API_TOKEN: string
  readonly JWT_SECRET: string
  /** The dispatch namespace; without it every tenant is reached over REST, which is for development only. */
  readonly NAMESPACE?: string
  readonly DISPATCH_SECRET?: string
  readonly DISPATCHER?: Dispatcher
  /** Only in development: where the emulator listens. */
  readonly CLOUDFLARE_EMULATOR_URL?: string
}

export function createFactory(env: Env): TenantFactory<NotesAdapters> {
  const { CLOUDFLARE_EMULATOR_URL: emulator } = env
  return createD1Factory<NotesAdapters>({
    accountId: env.CLOUDFLARE_ACCOUNT_ID,
    apiToken: env.CLOUDFLARE_API_TOKEN,
    access: listAccess(env),
    createAdapters,
    migrations,
    // Tenants of the demo start with a few notes.
    ...(emulator === undefined ? {} : { seed: seedDemo, baseUrl: `${emulator}/client/v4` }),
  })
}

/** A Worker's binding where `wrangler.jsonc` has one (`DB_TENANT_ACME`), then the tenant's Worker, then REST. */
function listAccess(env: Env): D1Access[] {
  const { NAMESPACE: namespace, DISPATCH_SECRET: secret, CLOUDFLARE_EMULATOR_URL: emulator } = env
  const binding: D1Access = { kind: 'binding', env }
  if (namespace === undefined || secret === undefined) return [binding, { kind: 'rest' }]
  // `wrangler dev` has no dispatch namespaces of its own.
  const dispatcher = env.DISPATCHER ?? (emulator && cloudflareEmulatorDispatcher(emulator, namespace))
  if (!dispatcher) throw new Error('NAMESPACE needs the binding DISPATCHER')
  return [binding, { kind: 'dispatch', namespace, secret, dispatcher }]
}

/** D1's only transaction is a batch. */
function createAdapters(client: D1Database): NotesAdapters {
  return {
    db: new Kysely<NotesDatabase>({ dialect: d1Kysely(client) }),
    together: async (writes) => {
      const statements = writes.map(({ sql, parameters }) => client.prepare(sql).bind(...parameters))
      return (await client.batch(statements)).map(({ meta }) => meta.changes)
    },
  }
}
