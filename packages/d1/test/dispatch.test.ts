import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import type { ConnectTarget, TenantProvider } from '@tenantry/multi-tenancy/provider'
import { captureError, getOutcome, neverAborted } from '@tenantry/test-support'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { deriveKey } from '../src/access/dispatch-method.ts'
import { parseScriptName, toScriptName } from '../src/control-plane/tenant-workers.ts'
import { createD1Provider, type D1Database, type DispatchAccess, d1Info } from '../src/index.ts'
import type { DatabaseRef } from '../src/types.ts'
import { dispatchAccess, NAMESPACE, SECRET } from './harness.ts'

let emulator: CloudflareEmulator
let provider: TenantProvider<D1Database>
let sequence = 0
beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  provider = createProvider({})
})
afterEach(() => {
  emulator.faults.clear()
  emulator.requests.length = 0
})
afterAll(() => emulator?.close())

function createProvider(overrides: Partial<DispatchAccess>): TenantProvider<D1Database> {
  const { accountId, apiToken, fetch } = emulator
  const access = [{ ...dispatchAccess(emulator), ...overrides } as DispatchAccess]
  return createD1Provider({ accountId, apiToken, fetch, access, rateLimit: 1_000_000 })
}

async function create(name = `t_${sequence++}`): Promise<DatabaseRef> {
  const { locator } = await provider.create(name, neverAborted)
  return { name, uuid: String(locator.uuid) }
}

/** Connects as an app does: with `beforeUse`. */
function serve(
  database: DatabaseRef,
  overrides: Partial<ConnectTarget> = {},
  by = provider,
): Promise<D1Database> {
  const target: ConnectTarget = {
    locator: { ...database },
    purpose: 'serve',
    verify: async () => {},
    beforeUse: () => {},
    ...overrides,
  }
  return by.connect(target, neverAborted)
}

const listScripts = (): string[] => emulator.oracle.scripts().map(({ script }) => script)
const listOperations = (): unknown[] => emulator.requests.map(({ operation }) => operation)

test("a Worker's name contains its database's name and uuid", () => {
  const database = { name: 'tenant_acme', uuid: '51e7c314-456e-4167-b6c3-869ad188fc23' }
  expect(toScriptName(database)).toMatch(/^tenant_acme-[0-9a-z]{25}$/)
  expect(parseScriptName(toScriptName(database))).toEqual(database)
  const last = { name: 'a-b', uuid: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }
  expect(parseScriptName(toScriptName(last))).toEqual(last)
  for (const other of ['tenant_acme', `tenant_acme-${'z'.repeat(25)}`, 7, undefined]) {
    expect(parseScriptName(other)).toBeUndefined()
  }
})

describe('the tenant Worker', () => {
  async function sendRequest(
    database: DatabaseRef,
    authorization: string | undefined,
    requested = database,
  ): Promise<Response> {
    const headers = authorization === undefined ? {} : { authorization }
    const body = JSON.stringify({ database: requested.uuid, statements: [{ sql: 'SELECT 1', params: [] }] })
    const stub = emulator.dispatcher(NAMESPACE).get(toScriptName(database))
    return stub.fetch('https://x.invalid/', { method: 'POST', headers, body })
  }

  test('runs nothing without its own key', async () => {
    const [database, other] = [await create(), await create()]
    const key = await deriveKey(SECRET, database.uuid)
    expect((await sendRequest(database, `Bearer ${key}`)).status).toBe(200)
    const wrong = [
      undefined,
      '',
      'Bearer ',
      'Bearer undefined',
      `Bearer ${SECRET}`,
      `Bearer ${emulator.apiToken}`,
    ]
    for (const authorization of [...wrong, `Bearer ${await deriveKey(SECRET, other.uuid)}`]) {
      const answer = await sendRequest(database, authorization)
      expect(answer.status, authorization).toBe(401)
      expect(await answer.text()).not.toContain('results')
    }
  })

  test('rejects a request for another database, even with its own key', async () => {
    const [database, other] = [await create(), await create()]
    const answer = await sendRequest(database, `Bearer ${await deriveKey(SECRET, database.uuid)}`, other)
    expect(answer.status).toBe(409)
    expect(await answer.text()).not.toContain('results')
  })

  test('runs nothing with a key of another secret', async () => {
    const database = await create()
    const otherApp = createProvider({ secret: 'another secret of at least 32 characters' })
    expect(await getOutcome((await serve(database, {}, otherApp)).prepare('SELECT 1').all())).toBe(
      'credentials_rejected',
    )
  })

  test('has no API token, and the API does not show its key', async () => {
    await create()
    const { accountId, apiToken, fetch } = emulator
    for (const script of listScripts()) {
      const name = script.slice(NAMESPACE.length + 1)
      const url = `https://api.cloudflare.com/client/v4/accounts/${accountId}/workers/dispatch/namespaces/${NAMESPACE}/scripts/${name}/bindings`
      const text = await (await fetch(url, { headers: { authorization: `Bearer ${apiToken}` } })).text()
      expect(text).toContain('"d1"')
      expect(text).not.toContain(apiToken)
      const { uuid } = parseScriptName(name) as DatabaseRef
      expect(text).not.toContain(await deriveKey(SECRET, uuid))
    }
  })
})

test('a client of a dropped database does not reach the next database of the same name', async () => {
  const old = await create('again')
  let notifications = 0
  const client = await serve(old, { onDatabaseGone: () => notifications++ })
  await provider.drop({ ...old }, neverAborted)
  const next = await create('again')
  expect(next.uuid).not.toBe(old.uuid)
  expect(await getOutcome(client.prepare('SELECT 1').all())).toBe('tenant_not_found')
  expect(notifications).toBe(1)
})

test('the Worker is removed before its database, and a drop that failed in between can be repeated', async () => {
  const database = await create()
  emulator.requests.length = 0
  emulator.faults.fail({ operation: 'databases.delete' })
  expect(await getOutcome(provider.drop({ ...database }, neverAborted))).toBe('provider_unavailable')
  expect(listOperations()).toEqual(['scripts.delete', 'databases.delete'])
  await provider.drop({ ...database }, neverAborted)
  expect(listScripts().filter((name) => name.includes(toScriptName(database)))).toEqual([])
  expect(await provider.find(database.name, neverAborted)).toBeUndefined()
})

test('the next create uploads a Worker whose upload failed', async () => {
  emulator.faults.fail({ operation: 'scripts.put' })
  const name = `t_${sequence++}`
  expect(await getOutcome(provider.create(name, neverAborted))).toBe('provider_unavailable')
  const { created } = await provider.create(name, neverAborted)
  expect(created).toBe(false)
  expect(emulator.oracle.databases().filter((database) => database.name === name)).toHaveLength(1)
  expect(listScripts().filter((script) => script.startsWith(`${NAMESPACE}/${name}-`))).toHaveLength(1)
})

test('closing access rejects every client of every process and keeps the data; create leaves it closed, open restores it', async () => {
  const database = await create()
  const client = await serve(database)
  const otherProcess = await serve(database, {}, createProvider({}))
  await client.prepare('CREATE TABLE kept (n INTEGER)').run()
  await provider.setAccess?.({ ...database }, 'closed', neverAborted)
  await provider.setAccess?.({ ...database }, 'closed', neverAborted)
  expect((await provider.create(database.name, neverAborted)).created).toBe(false)
  const managing = await provider.connect(
    { locator: { ...database }, purpose: 'manage', verify: async () => {} },
    neverAborted,
  )
  for (const each of [client, otherProcess, managing, await serve(database)]) {
    expect(await getOutcome(each.prepare('SELECT * FROM kept').all())).toBe('tenant_suspended')
  }
  const closedWorker = emulator.oracle.scripts().find(({ script }) => script.includes(toScriptName(database)))
  expect(closedWorker?.databases).toEqual([])
  await provider.setAccess?.({ ...database }, 'open', neverAborted)
  expect(await client.prepare('SELECT n FROM kept').raw()).toEqual([])
})

test('a database whose Worker is gone is reached for managing, and not for serving', async () => {
  const database = await create()
  const client = await serve(database)
  emulator.faults.fail({ operation: 'databases.delete' })
  await captureError(provider.drop({ ...database }, neverAborted))
  expect(await getOutcome(client.prepare('SELECT 1').all())).toBe('tenant_not_ready')
  const managing = await provider.connect(
    { locator: { ...database }, purpose: 'manage', verify: async () => {} },
    neverAborted,
  )
  expect(await managing.prepare('SELECT 1 AS one').first('one')).toBe(1)
})

test('a Worker whose database is gone is listed as a leftover, and can be dropped', async () => {
  const [whole, gone] = [await create('left_whole'), await create('left_gone')]
  await emulator.oracle.destroy(gone.name)
  const all = []
  let cursor: string | undefined
  do {
    const page = await provider.list(
      { prefix: 'left_', ...(cursor === undefined ? {} : { cursor }) },
      neverAborted,
    )
    all.push(...page.databases)
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(all).toEqual([
    { name: whole.name, locator: whole },
    { name: gone.name, locator: gone, leftover: 'script' },
  ])
  await provider.drop(gone as never, neverAborted)
  expect(listScripts().filter((name) => name.includes('left_gone'))).toEqual([])
})

test('without a dispatcher Workers are uploaded, and databases reached by the next access method', async () => {
  const { accountId, apiToken, fetch } = emulator
  const access = [{ kind: 'dispatch', namespace: NAMESPACE, secret: SECRET }, { kind: 'rest' }] as const
  const node = createD1Provider({ accountId, apiToken, fetch, access, rateLimit: 1_000_000 })
  const { locator } = await node.create('from_node', neverAborted)
  const client = await node.connect(
    { locator, purpose: 'serve', verify: async () => {}, beforeUse: () => {} },
    neverAborted,
  )
  expect(d1Info(client)).toMatchObject({ access: 'rest', sessions: false })
  await client.prepare('CREATE TABLE here (n INTEGER)').run()
  const worker = await serve({ name: 'from_node', uuid: String(locator.uuid) })
  expect(d1Info(worker)).toMatchObject({ access: 'dispatch', sessions: true })
  expect(await worker.prepare('SELECT count(*) AS n FROM here').first('n')).toBe(0)
})

test('a session sends its bookmark and keeps the newest one it received', async () => {
  const client = await serve(await create())
  const session = client.withSession('first-primary')
  expect(session.getBookmark()).toBeNull()
  await session.prepare('CREATE TABLE seen (n INTEGER)').run()
  const bookmark = session.getBookmark()
  expect(bookmark).toMatch(/^[\w-]+$/)
  await session.batch([session.prepare('INSERT INTO seen VALUES (1)')])
  const next = client.withSession(session.getBookmark() ?? undefined)
  expect(next.getBookmark()).toBe(session.getBookmark())
  expect(await next.prepare('SELECT n FROM seen').raw()).toEqual([[1]])
})

test('a response that another program sent is provider_unavailable', async () => {
  const database = await create()
  const otherProgram = { get: () => ({ fetch: async () => new Response('{"results":[]}') }) }
  const client = await serve(database, {}, createProvider({ dispatcher: otherProgram }))
  expect(await getOutcome(client.prepare('SELECT 1').all())).toBe('provider_unavailable')
})

test('an aborted upload leaves no unhandled rejection', async () => {
  const rejections: unknown[] = []
  const record = (reason: unknown): void => void rejections.push(reason)
  process.on('unhandledRejection', record)
  const { accountId, apiToken } = emulator
  const controller = new AbortController()
  const provider = createD1Provider({
    ...{ accountId, apiToken, access: [dispatchAccess(emulator)] },
    // Aborted after the request was created and before it is sent.
    fetch: (input, init) => {
      if (init?.method === 'PUT') controller.abort()
      return emulator.fetch(input, init)
    },
  })
  await captureError(provider.create('given_up', { signal: controller.signal }))
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', record)
  expect(controller.signal.aborted).toBe(true)
  expect(rejections).toEqual([])
})
