import { type Harness, testProvider } from '@tenantry/conformance'
import { createD1Provider, type D1Access, type D1Database } from '../../src/index.ts'

const accountId = required('CLOUDFLARE_ACCOUNT_ID')
const apiToken = required('CLOUDFLARE_API_TOKEN')
const base = `https://api.cloudflare.com/client/v4/accounts/${accountId}/d1/database`
const access: D1Access[] = [{ kind: 'rest' }]

/** The oracle sends requests to the API without the provider. */
function createLiveHarness(): Harness<D1Database> {
  const createProvider = () => createD1Provider({ accountId, apiToken, access, pageSize: 10 })
  return {
    provider: createProvider(),
    createProvider,
    secrets: [apiToken],
    multiPageCount: 3,
    roundsIntegers: 'D1 returns every number as a JavaScript number',
    oracle: {
      async listDatabases(prefix) {
        const databases: { name: string }[] = await sendRequest('GET', `?name=${prefix}&per_page=1000`)
        return databases.map(({ name }) => name).filter((name) => name.startsWith(prefix))
      },
      async query(name, sql) {
        const { uuid } = await sendRequest('GET', `/${name}`)
        return (await sendRequest('POST', `/${uuid}/query`, { sql }))[0].results
      },
      async execute(name, sql) {
        await this.query(name, sql)
      },
    },
    cleanup: async () => {},
  }
}

/** Waits for the rate limit: the kit sends more than 1,200 requests. */
async function sendRequest(method: string, path: string, body?: unknown): Promise<any> {
  for (;;) {
    const headers = { authorization: `Bearer ${apiToken}`, 'content-type': 'application/json' }
    const text = body === undefined ? null : JSON.stringify(body)
    const response = await fetch(base + path, { method, headers, body: text })
    if (response.ok) return ((await response.json()) as { result: unknown }).result
    if (response.status !== 429)
      throw new Error(`Cloudflare answered ${response.status} to ${method} ${path}`)
    const wait = Number(response.headers.get('retry-after') ?? 300)
    await new Promise((resolve) => setTimeout(resolve, wait * 1_000))
  }
}

function required(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`Set ${name}: this suite creates and deletes databases in a real account`)
  return value
}

// Under Cloudflare's rate limit the kit's requests take hours.
testProvider('d1 (live)', createLiveHarness, { timeout: 3_600_000 })
