import { type CloudflareEmulator, startCloudflareEmulator } from '@tenantry/emulators'
import { type ConnectTarget, TenancyError, type TenantProvider } from '@tenantry/multi-tenancy'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { deriveKey } from '../src/access/dispatch-method.ts'
import { parseScriptName, toScriptName } from '../src/control-plane/tenant-workers.ts'
import { createD1Provider, type D1Database, type DispatchAccess, d1Info } from '../src/index.ts'
import type { DatabaseRef } from '../src/types.ts'
import { call } from './access-methods.ts'
import { dispatchWay, NAMESPACE, SECRET } from './harness.ts'

let emulator: CloudflareEmulator
let provider: TenantProvider<D1Database>
let made = 0
beforeAll(async () => {
  emulator = await startCloudflareEmulator({ dispatchNamespaces: [NAMESPACE] })
  provider = providerWith({})
})
afterEach(() => {
  emulator.faults.clear()
  emulator.requests.length = 0
})
afterAll(() => emulator?.close())

function providerWith(own: Partial<DispatchAccess>): TenantProvider<D1Database> {
  const { accountId, apiToken, fetch } = emulator
  const access = [{ ...dispatchWay(emulator), ...own } as DispatchAccess]
  return createD1Provider({ accountId, apiToken, fetch, access, rateLimit: 1_000_000 })
}

async function create(name = `t_${made++}`): Promise<DatabaseRef> {
  const { locator } = await provider.create(name, call)
  return { name, uuid: String(locator.uuid) }
}

/** As an app is served: with `admit`. */
function serve(database: DatabaseRef, own: Partial<ConnectTarget> = {}, by = provider): Promise<D1Database> {
  const target: ConnectTarget = {
    locator: { ...database },
    purpose: 'serve',
    verify: async () => {},
    beforeUse: () => {},
    ...own,
  }
  return by.connect(target, call)
}

const code = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => (error instanceof TenancyError ? error.code : error),
  )
const failed = (work: Promise<unknown>): Promise<unknown> => expect(work).rejects.toThrow()
const scripts = (): string[] => emulator.oracle.scripts().map(({ script }) => script)
const operations = (): unknown[] => emulator.requests.map(({ operation }) => operation)

test('the Worker of a tenant is named after its database and says which one it is for', () => {
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
  async function ask(
    database: DatabaseRef,
    authorization: string | undefined,
    about = database,
  ): Promise<Response> {
    const headers = authorization === undefined ? {} : { authorization }
    const body = JSON.stringify({ database: about.uuid, statements: [{ sql: 'SELECT 1', params: [] }] })
    const stub = emulator.dispatcher(NAMESPACE).get(toScriptName(database))
    return stub.fetch('https://x.invalid/', { method: 'POST', headers, body })
  }

  test('runs nothing without its key, and each has another', async () => {
    const [mine, other] = [await create(), await create()]
    const key = await deriveKey(SECRET, mine.uuid)
    expect((await ask(mine, `Bearer ${key}`)).status).toBe(200)
    const wrong = [
      undefined,
      '',
      'Bearer ',
      'Bearer undefined',
      `Bearer ${SECRET}`,
      `Bearer ${emulator.apiToken}`,
    ]
    for (const shown of [...wrong, `Bearer ${await deriveKey(SECRET, other.uuid)}`]) {
      const answer = await ask(mine, shown)
      expect(answer.status, shown).toBe(401)
      expect(await answer.text()).not.toContain('results')
    }
  })

  test('does not answer for another database, even to its own key', async () => {
    const [mine, other] = [await create(), await create()]
    const answer = await ask(mine, `Bearer ${await deriveKey(SECRET, mine.uuid)}`, other)
    expect(answer.status).toBe(409)
    expect(await answer.text()).not.toContain('results')
  })

  test('opens nothing to another app’s secret', async () => {
    const database = await create()
    const stranger = providerWith({ secret: 'the secret of another app, long enough' })
    expect(await code((await serve(database, {}, stranger)).prepare('SELECT 1').all())).toBe(
      'credentials_rejected',
    )
  })

  test('gets no API token, and its key is no plain text', async () => {
    await create()
    const { accountId, apiToken, fetch } = emulator
    for (const script of scripts()) {
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

test('a client from before a drop does not reach the next database of the name', async () => {
  const old = await create('again')
  let lost = 0
  const client = await serve(old, { onDatabaseGone: () => lost++ })
  await provider.drop({ ...old }, call)
  const next = await create('again')
  expect(next.uuid).not.toBe(old.uuid)
  expect(await code(client.prepare('SELECT 1').all())).toBe('tenant_not_found')
  expect(lost).toBe(1)
})

test('the Worker is removed before its database, and a drop that broke off between goes on', async () => {
  const database = await create()
  emulator.requests.length = 0
  emulator.faults.fail({ operation: 'databases.delete' })
  expect(await code(provider.drop({ ...database }, call))).toBe('provider_unavailable')
  expect(operations()).toEqual(['scripts.delete', 'databases.delete'])
  await provider.drop({ ...database }, call)
  expect(scripts().filter((name) => name.includes(toScriptName(database)))).toEqual([])
  expect(await provider.find(database.name, call)).toBeUndefined()
})

test('a database whose Worker could not be uploaded is finished by the next create', async () => {
  emulator.faults.fail({ operation: 'scripts.put' })
  const name = `t_${made++}`
  expect(await code(provider.create(name, call))).toBe('provider_unavailable')
  const { created } = await provider.create(name, call)
  expect(created).toBe(false)
  expect(emulator.oracle.databases().filter((database) => database.name === name)).toHaveLength(1)
  expect(scripts().filter((script) => script.startsWith(`${NAMESPACE}/${name}-`))).toHaveLength(1)
})

test('closed access ends every process’s way to the data, which stays; a create leaves it closed; open undoes it', async () => {
  const database = await create()
  const client = await serve(database)
  const elsewhere = await serve(database, {}, providerWith({}))
  await client.prepare('CREATE TABLE kept (n INTEGER)').run()
  await provider.setAccess?.({ ...database }, 'closed', call)
  await provider.setAccess?.({ ...database }, 'closed', call)
  expect((await provider.create(database.name, call)).created).toBe(false)
  const managing = await provider.connect(
    { locator: { ...database }, purpose: 'manage', verify: async () => {} },
    call,
  )
  for (const each of [client, elsewhere, managing, await serve(database)]) {
    expect(await code(each.prepare('SELECT * FROM kept').all())).toBe('tenant_suspended')
  }
  const shut = emulator.oracle.scripts().find(({ script }) => script.includes(toScriptName(database)))
  expect(shut?.databases).toEqual([])
  await provider.setAccess?.({ ...database }, 'open', call)
  expect(await client.prepare('SELECT n FROM kept').raw()).toEqual([])
})

test('a database whose Worker is gone is still reached by who manages it, and by nobody else', async () => {
  const database = await create()
  const client = await serve(database)
  emulator.faults.fail({ operation: 'databases.delete' })
  await failed(provider.drop({ ...database }, call))
  expect(await code(client.prepare('SELECT 1').all())).toBe('tenant_not_ready')
  const managing = await provider.connect(
    { locator: { ...database }, purpose: 'manage', verify: async () => {} },
    call,
  )
  expect(await managing.prepare('SELECT 1 AS one').first('one')).toBe(1)
})

test('what a crash left of a tenant shows in the listing, and can be dropped', async () => {
  const [whole, gone] = [await create('left_whole'), await create('left_gone')]
  await emulator.oracle.destroy(gone.name)
  const all = []
  let cursor: string | undefined
  do {
    const page = await provider.list({ prefix: 'left_', ...(cursor === undefined ? {} : { cursor }) }, call)
    all.push(...page.databases)
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(all).toEqual([
    { name: whole.name, locator: whole },
    { name: gone.name, locator: gone, leftover: 'script' },
  ])
  await provider.drop(gone as never, call)
  expect(scripts().filter((name) => name.includes('left_gone'))).toEqual([])
})

test('without a dispatcher tenants are provisioned for it, and reached on the next way', async () => {
  const { accountId, apiToken, fetch } = emulator
  const access = [{ kind: 'dispatch', namespace: NAMESPACE, secret: SECRET }, { kind: 'rest' }] as const
  const node = createD1Provider({ accountId, apiToken, fetch, access, rateLimit: 1_000_000 })
  const { locator } = await node.create('from_node', call)
  const client = await node.connect(
    { locator, purpose: 'serve', verify: async () => {}, beforeUse: () => {} },
    call,
  )
  expect(d1Info(client)).toMatchObject({ access: 'rest', sessions: false })
  await client.prepare('CREATE TABLE here (n INTEGER)').run()
  const worker = await serve({ name: 'from_node', uuid: String(locator.uuid) })
  expect(d1Info(worker)).toMatchObject({ access: 'dispatch', sessions: true })
  expect(await worker.prepare('SELECT count(*) AS n FROM here').first('n')).toBe(0)
})

test('a session’s bookmark travels with its statements', async () => {
  const client = await serve(await create())
  const session = client.withSession('first-primary')
  expect(session.getBookmark()).toBeNull()
  await session.prepare('CREATE TABLE seen (n INTEGER)').run()
  const bookmark = session.getBookmark()
  expect(bookmark).toMatch(/^[\w-]+$/)
  await session.batch([session.prepare('INSERT INTO seen VALUES (1)')])
  const again = client.withSession(session.getBookmark() ?? undefined)
  expect(again.getBookmark()).toBe(session.getBookmark())
  expect(await again.prepare('SELECT n FROM seen').raw()).toEqual([[1]])
})

test('an answer that is not the Worker’s own is no answer', async () => {
  const database = await create()
  const strange = { get: () => ({ fetch: async () => new Response('{"results":[]}') }) }
  const client = await serve(database, {}, providerWith({ dispatcher: strange }))
  expect(await code(client.prepare('SELECT 1').all())).toBe('provider_unavailable')
})

test('an upload that is given up early leaves no rejection to nobody', async () => {
  const rejections: unknown[] = []
  const note = (reason: unknown): void => void rejections.push(reason)
  process.on('unhandledRejection', note)
  const { accountId, apiToken } = emulator
  const late = new AbortController()
  const provider = createD1Provider({
    ...{ accountId, apiToken, access: [dispatchWay(emulator)] },
    // Given up after the request was made and before it is sent.
    fetch: (input, init) => {
      if (init?.method === 'PUT') late.abort()
      return emulator.fetch(input, init)
    },
  })
  await failed(provider.create('given_up', { signal: late.signal }))
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  expect(late.signal.aborted).toBe(true)
  expect(rejections).toEqual([])
})
