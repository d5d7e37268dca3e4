import { type Client, createClient } from '@libsql/client/web'
import { type Harness, testProvider } from '@tenantry/conformance'
import { createTursoProvider } from '../../src/index.ts'

const organizationName = required('TURSO_ORGANIZATION')
const apiToken = required('TURSO_API_TOKEN')
const group = process.env.TURSO_GROUP ?? 'default'
const base = `https://api.turso.tech/v1/organizations/${organizationName}/databases`

/** The account itself, asked without the provider: the Platform API by hand, and the bare driver. */
function createLiveHarness(): Harness<Client> {
  const createProvider = () => createTursoProvider({ organizationName, apiToken, group })
  return {
    provider: createProvider(),
    createProvider,
    secrets: [apiToken],
    multiPageCount: 3,
    oracle: {
      async listDatabases(prefix) {
        const { databases } = await ask('GET', `?group=${group}`)
        return databases
          .map(({ Name }: { Name: string }) => Name)
          .filter((name: string) => name.startsWith(prefix))
      },
      async query(name, sql) {
        const { database } = await ask('GET', `/${name}`)
        const { jwt } = await ask('POST', `/${name}/auth/tokens?expiration=5m`)
        const client = createClient({ url: `https://${database.Hostname}`, authToken: jwt })
        return (await client.execute(sql)).rows.map((row) => ({ ...row }))
      },
      async execute(name, sql) {
        await this.query(name, sql)
      },
    },
    cleanup: async () => {},
  }
}

async function ask(method: string, path: string): Promise<any> {
  const response = await fetch(base + path, { method, headers: { authorization: `Bearer ${apiToken}` } })
  if (!response.ok) throw new Error(`The Platform API answered ${response.status} to ${method} ${path}`)
  return response.json()
}

function required(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`Set ${name}: this suite creates and deletes databases in a real account`)
  return value
}

testProvider('turso (live)', createLiveHarness, { timeout: 300_000 })
