import type { Harness } from '@tenantry/conformance'
import type { CloudflareEmulator } from '@tenantry/emulators'
import { createD1Provider, type D1Access, type D1Database } from '../src/index.ts'
import type { Bindings } from './bindings.ts'

export const NAMESPACE = 'tenants'
export const SECRET = 'a secret of at least 32 characters of the app'

/** Access through tenants' Workers, in the emulator. */
export function dispatchAccess(emulator: CloudflareEmulator): D1Access {
  return {
    kind: 'dispatch',
    namespace: NAMESPACE,
    secret: SECRET,
    dispatcher: emulator.dispatcher(NAMESPACE),
  }
}

/** One account for all cases, which use names of their own. The oracle reads databases without the provider. */
export function createHarness(
  { accountId, apiToken, fetch, oracle }: CloudflareEmulator,
  access: D1Access,
  query: Bindings['query'] = (name, sql) => oracle.execute(name, sql),
): Harness<D1Database> {
  // The kit sends more requests in five minutes than Cloudflare allows. rate.test.ts tests the limit.
  const options = { accountId, apiToken, fetch, access: [access], pageSize: 10, rateLimit: 1_000_000 }
  const createProvider = () => createD1Provider(options)
  return {
    provider: createProvider(),
    createProvider,
    secrets: [apiToken, SECRET],
    multiPageCount: 23,
    roundsIntegers: 'D1 returns every number as a JavaScript number',
    oracle: {
      listDatabases: async (prefix) =>
        oracle.databases().flatMap(({ name }) => (name.startsWith(prefix) ? [name] : [])),
      query,
      async execute(name, sql) {
        await query(name, sql)
      },
    },
    cleanup: async () => {},
  }
}
