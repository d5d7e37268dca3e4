import type { CrashHarness } from '@tenantry/conformance/crash'
import { startCloudflareEmulator } from '@tenantry/emulators'
import { cloudflareEmulatorDispatcher } from '@tenantry/emulators/client'
import { Kysely } from 'kysely'
import { createD1Provider, type D1ProviderOptions, d1Kysely } from '../src/index.ts'
import { call } from './access-methods.ts'
import { NAMESPACE, SECRET } from './harness.ts'

/** Processes ask more in five minutes than Cloudflare lets. */
const UNLIMITED = { rateLimit: 1_000_000 }

/** Databases with a Worker each, reached through it; the catalog is on D1 too, over REST. */
export const setup: CrashHarness['setup'] = async () => {
  const emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  const { accountId, apiToken, baseUrl, url, oracle, close } = emulator
  const { locator } = await createD1Provider({ accountId, apiToken, baseUrl }).create('catalog', call)
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
    ...accountOf(config),
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
    // A member that asks the API more than once may die between two requests. (A query is one, and a point already.)
    fetch: (input, init) => {
      const { pathname } = new URL(input instanceof Request ? input.url : input)
      const what = /\/(?:database|scripts)\b.*/.exec(pathname)?.[0] ?? pathname
      if (/\/(?:query|raw)$/.test(what)) return fetch(input, init)
      return around(`${init?.method ?? 'GET'} ${what.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, '…')}`, () =>
        fetch(input, init),
      )
    },
  })

export const openCatalog: CrashHarness['openCatalog'] = async (config) => {
  const locator = { name: 'catalog', uuid: String(config.catalogUuid) }
  const over = createD1Provider({ ...accountOf(config), ...UNLIMITED })
  const database = await over.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
  return { db: new Kysely<any>({ dialect: d1Kysely(database) }), dialect: 'sqlite', transactions: false }
}

function accountOf({ accountId, apiToken, baseUrl }: Record<string, unknown>): D1ProviderOptions {
  return { accountId: String(accountId), apiToken: String(apiToken), baseUrl: String(baseUrl) }
}
