import type { Client } from '@libsql/client/web'
import type { Harness } from '@tenantry/conformance'
import type { TursoEmulator } from '@tenantry/emulators'
import { createTursoProvider } from '../src/index.ts'

/** One account, shared by the cases: each has names of its own. The oracle looks past the API. */
export function createTursoHarness(turso: TursoEmulator): Harness<Client> {
  const { organization: organizationName, apiToken, fetch, oracle } = turso
  const another = () => createTursoProvider({ organizationName, apiToken, fetch })
  return {
    provider: another(),
    another,
    secrets: [apiToken],
    oracle: {
      databases: async (prefix) =>
        oracle.databases().flatMap(({ Name }) => (Name.startsWith(prefix) ? [Name] : [])),
      query: (name, sql) => oracle.execute(name, sql),
      async execute(name, sql) {
        await oracle.execute(name, sql)
      },
    },
    cleanup: async () => {},
  }
}
