import type { Client } from '@libsql/client/web'
import type { Harness } from '@tenantry/conformance'
import type { TursoEmulator } from '@tenantry/emulators'
import { createTursoProvider } from '../src/index.ts'

/** The default group, and one that `placement` may name. */
const GROUPS = ['default', 'elsewhere']

/** Creates the second group. Called once for each emulator. */
export async function addGroup({ url, organization, apiToken, fetch }: TursoEmulator): Promise<void> {
  const response = await fetch(`${url}/v1/organizations/${organization}/groups`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiToken}` },
    body: JSON.stringify({ name: GROUPS[1], location: 'aws-eu-west-1' }),
  })
  if (!response.ok) throw new Error(`The emulator answered ${response.status}`)
}

/** One account, shared by the cases: each has names of its own. The oracle reads the databases without the API. */
export function createTursoHarness(turso: TursoEmulator): Harness<Client> {
  const { organization: organizationName, apiToken, fetch, oracle } = turso
  const createProvider = () => createTursoProvider({ organizationName, apiToken, fetch, groups: GROUPS })
  return {
    provider: createProvider(),
    createProvider,
    secrets: [apiToken],
    findPlacement: async (name) => oracle.databases().find(({ Name }) => Name === name)?.group ?? 'no group',
    oracle: {
      listDatabases: async (prefix) =>
        oracle.databases().flatMap(({ Name }) => (Name.startsWith(prefix) ? [Name] : [])),
      query: (name, sql) => oracle.execute(name, sql),
      async execute(name, sql) {
        await oracle.execute(name, sql)
      },
    },
    cleanup: async () => {},
  }
}
