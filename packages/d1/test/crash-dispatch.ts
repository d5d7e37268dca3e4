import type { CrashHarness } from '@tenantry/conformance/crash'
import { startCloudflareEmulator } from '@tenantry/emulators'
import { cloudflareEmulatorDispatcher } from '@tenantry/emulators/client'
import { neverAborted } from '@tenantry/test-support'
import { Kysely } from 'kysely'
import { createD1Provider, type D1ProviderOptions, d1Kysely } from '../src/index.ts'
import { NAMESPACE, SECRET } from './harness.ts'

/** The processes send more requests in five minutes than Cloudflare allows. */
const UNLIMITED = { rateLimit: 1_000_000 }

/** Databases reached through their Workers; the catalog is on D1 too, over REST. */
export const setup: CrashHarness['setup'] = async () => {
  const emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  const { accountId, apiToken, baseUrl, url, oracle, close } = emulator
  const { locator } = await createD1Provider({ accountId, apiToken, baseUrl }).create('catalog', neverAborted)
  return {
    config: { accountId, apiToken, baseUrl, url, catalogUuid: String(locator.uuid) },
    oracle: {
      listDatabases: async (prefix) =>
        oracle.databases().flatMap(({ name }) => (name.startsWith(prefix) ? [name] : [])),
      query: (name, sql) => oracle.execute(name, sql),
      async execute(name, sql) {
        await oracle.execute(name, sql)
      },
    },
    cleanup: close,
  }
}

export const createProvider: CrashHarness['createProvider'] = (config, around) =>
  createD1Provider({
    ...toAccount(config),
    ...UNLIMITED,
    access: [
      {
        kind: 'dispatch',
        namespace: NAMESPACE,
        secret: SECRET,
        dispatcher: cloudflareEmulatorDispatcher(String(config.url), NAMESPACE),
      },
    ],
    onRestorePoint: async () => {},
    // A member that sends several requests may die between two. A query is one request, and a crash point already.
    fetch: (input, init) => {
      const { pathname } = new URL(input instanceof Request ? input.url : input)
      const resource = /\/(?:database|scripts)\b.*/.exec(pathname)?.[0] ?? pathname
      if (/\/(?:query|raw)$/.test(resource)) return fetch(input, init)
      return around(`${init?.method ?? 'GET'} ${resource.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, '…')}`, () =>
        fetch(input, init),
      )
    },
  })

export const openCatalog: CrashHarness['openCatalog'] = async (config) => {
  const locator = { name: 'catalog', uuid: String(config.catalogUuid) }
  const over = createD1Provider({ ...toAccount(config), ...UNLIMITED })
  const database = await over.connect({ locator, purpose: 'manage', verify: async () => {} }, neverAborted)
  return { db: new Kysely<any>({ dialect: d1Kysely(database) }), dialect: 'sqlite', transactions: false }
}

function toAccount({ accountId, apiToken, baseUrl }: Record<string, unknown>): D1ProviderOptions {
  return { accountId: String(accountId), apiToken: String(apiToken), baseUrl: String(baseUrl) }
}
