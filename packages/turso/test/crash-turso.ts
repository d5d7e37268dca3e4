import type { CrashHarness } from '@tenantry/conformance/crash'
import { startTursoEmulator } from '@tenantry/emulators'
import { tursoEmulatorFetch } from '@tenantry/emulators/client'
import { createTursoProvider } from '../src/index.ts'

export const setup: CrashHarness['setup'] = async () => {
  const { organization, apiToken, url, oracle, close } = await startTursoEmulator()
  return {
    config: { organizationName: organization, apiToken, url },
    oracle: {
      listDatabases: async (prefix) =>
        oracle.databases().flatMap(({ Name }) => (Name.startsWith(prefix) ? [Name] : [])),
      query: (name, sql) => oracle.execute(name, sql),
      async execute(name, sql) {
        await oracle.execute(name, sql)
      },
    },
    cleanup: close,
  }
}

export const createProvider: CrashHarness['createProvider'] = (
  { organizationName, apiToken, url },
  around,
) => {
  const fetch = tursoEmulatorFetch(String(url))
  return createTursoProvider({
    organizationName: String(organizationName),
    apiToken: String(apiToken),
    // Between two requests of one call a process may die, too.
    fetch: (input, init) => around(`${init?.method ?? 'GET'} request`, () => fetch(input, init)),
  })
}
