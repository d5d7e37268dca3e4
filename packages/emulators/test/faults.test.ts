import { createClient } from '@libsql/client/web'
import { describe, expect, test } from 'vitest'
import { emulatorForTests } from './support.ts'

let clock = Date.parse('2026-11-24T12:00:00Z')
const turso = await emulatorForTests({ now: () => clock })
const { call, faults, oracle, query, tenant } = turso
const create = (name: string) => call('POST', '/databases', { name, group: 'default' })

describe('lost and failed answers', () => {
  test('a dropped reply leaves the database created', async () => {
    const fault = faults.dropReply({ operation: 'databases.create', database: 'lost' })
    expect((await create('not-lost')).status).toBe(200)
    await expect(create('lost')).rejects.toThrow(TypeError)
    expect(await oracle.exists('lost')).toBe(true)
    expect(fault.hits).toBe(1)
    expect((await create('lost')).body.error).toMatch(/already exists/)
    expect(turso.requests.at(-2)).toMatchObject({ status: undefined, faults: ['dropReply'] })
  })

  test('a dropped reply of a delete leaves the database deleted', async () => {
    await oracle.create('unheard')
    faults.dropReply({ operation: 'databases.delete' })
    await expect(call('DELETE', '/databases/unheard')).rejects.toThrow(TypeError)
    expect(await oracle.exists('unheard')).toBe(false)
  })

  test('a dropped request leaves nothing created', async () => {
    faults.dropRequest({ operation: 'databases.create' })
    await expect(create('never')).rejects.toThrow(TypeError)
    expect(await oracle.exists('never')).toBe(false)
  })

  test('500 after the commit, and 502 without one, as often as asked', async () => {
    faults.failAfterCommit({ operation: 'databases.create' })
    expect((await create('committed')).status).toBe(500)
    expect(await oracle.exists('committed')).toBe(true)
    faults.fail({ operation: 'databases.create', status: 502, times: 2 })
    expect((await create('refused')).status).toBe(502)
    expect((await create('refused')).status).toBe(502)
    expect(await oracle.exists('refused')).toBe(false)
    expect((await create('refused')).status).toBe(200)
  })

  test('a refused request is not hidden: there was nothing to commit', async () => {
    const fault = faults.dropReply({ operation: 'databases.create' })
    expect((await create('Not A Name')).status).toBe(400)
    expect(fault.hits).toBe(0)
  })

  test('concurrent requests share a count', async () => {
    faults.fail({ operation: 'databases.list' })
    const answers = await Promise.all([call('GET', '/databases'), call('GET', '/databases')])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 500])
  })

  test('a fault that is removed or cleared is over', async () => {
    faults.fail({ operation: 'databases.list', times: 9 }).remove()
    expect((await call('GET', '/databases')).status).toBe(200)
    faults.fail({ operation: 'platform', times: 9 })
    expect((await call('GET', '/databases')).status).toBe(500)
    faults.clear()
    expect((await call('GET', '/databases')).status).toBe(200)
  })
})

describe('order', () => {
  test('a held create is carried out when it is released', async () => {
    const gate = faults.hold({ operation: 'databases.create', database: 'held' })
    const pending = create('held')
    await gate.met()
    expect((await create('overtaking')).status).toBe(200)
    expect(await oracle.exists('held')).toBe(false)
    gate.remove()
    expect((await pending).status).toBe(200)
    expect(await oracle.exists('held')).toBe(true)
  })

  test('a reply held after the commit lets others see the result first', async () => {
    const gate = faults.hold({ operation: 'databases.create', at: 'after' })
    const pending = create('early')
    await gate.met()
    expect((await call('GET', '/databases/early')).status).toBe(200)
    gate.remove()
    expect((await pending).status).toBe(200)
  })

  test('faults compose: held, then carried out, then cut', async () => {
    const gate = faults.hold({ operation: 'databases.create' })
    faults.dropReply({ operation: 'databases.create' })
    const pending = create('composed')
    const lost = expect(pending).rejects.toThrow(TypeError)
    await gate.met()
    expect(await oracle.exists('composed')).toBe(false)
    gate.remove()
    await lost
    expect(await oracle.exists('composed')).toBe(true)
    expect(turso.requests.at(-1)?.faults).toEqual(['hold', 'dropReply'])
  })

  test('a delay lasts at least as long as it says', async () => {
    const started = performance.now()
    faults.delay({ operation: 'databases.list', ms: 20 })
    expect((await call('GET', '/databases')).status).toBe(200)
    expect(performance.now() - started).toBeGreaterThanOrEqual(19)
  })
})

describe('rate limits', () => {
  test('block every call for the window, say how long, and end with it', async () => {
    const fault = faults.rateLimit({ limit: 1, windowMs: 30_000 })
    expect((await call('GET', '/databases')).status).toBe(200)
    const refused = await call('GET', '/databases')
    expect(refused).toMatchObject({ status: 429, body: { error: 'too many requests' } })
    expect(refused.headers.get('retry-after')).toBe('30')
    clock += 28_500
    const later = await create('limited')
    expect(later.status).toBe(429)
    // 1.5 seconds are left: a client that waited 1 s would come too early.
    expect(later.headers.get('retry-after')).toBe('2')
    expect(await oracle.exists('limited')).toBe(false)
    clock += 1500
    expect((await create('limited')).status).toBe(200)
    expect((await call('GET', '/databases')).status).toBe(429)
    expect(fault.hits).toBe(3)
  })

  test('can name a date, and be about one operation', async () => {
    faults.rateLimit({ operation: 'tokens.create', windowMs: 60_000, retryAfter: 'http-date' })
    const { hostname } = await oracle.create('dated').then(({ Hostname }) => ({ hostname: Hostname }))
    const { status, headers } = await call('POST', '/databases/dated/auth/tokens')
    expect(status).toBe(429)
    expect(Date.parse(headers.get('retry-after') ?? '')).toBe(Math.floor(clock / 1000) * 1000 + 60_000)
    expect((await query(hostname, await oracle.token('dated'))).status).toBe(200)
  })
})

describe('a control plane ahead of its databases', () => {
  test('a new database is not found for its first requests', async () => {
    const old = await tenant('old')
    faults.notFoundAfterCreate({ requests: 2 })
    const { hostname, token } = await tenant('fresh')
    const missing = { status: 404, result: { error: "Namespace `fresh-acme` doesn't exist" } }
    expect(await query(hostname, token)).toEqual(missing)
    expect((await query(old.hostname, old.token)).status).toBe(200)
    expect(await query(hostname, token)).toEqual(missing)
    expect((await query(hostname, token)).status).toBe(200)
  })

  test('a new database is not found until a gate opens', async () => {
    const gate = faults.notFoundAfterCreate()
    const { url, token } = await tenant('gated')
    const client = createClient({ url, authToken: token, fetch: turso.fetch })
    await expect(client.execute('select 1')).rejects.toMatchObject({ cause: { status: 404 } })
    gate.remove()
    expect((await client.execute('select 1 as one')).rows[0]?.one).toBe(1)
  })

  test('a deleted database is still retrieved for a while', async () => {
    const { DbId } = await oracle.create('ghost')
    faults.staleAfterDelete({ retrievals: 2 })
    expect((await call('DELETE', '/databases/ghost')).status).toBe(200)
    expect(await oracle.namespaces()).not.toContain('ghost-acme')
    expect((await call('GET', '/databases/ghost')).body.database.DbId).toBe(DbId)
    expect((await call('GET', '/databases/ghost')).status).toBe(200)
    expect((await call('GET', '/databases/ghost')).status).toBe(404)
  })

  test('a database created again is shown as it is', async () => {
    const { DbId } = await oracle.create('revenant')
    faults.staleAfterDelete()
    await call('DELETE', '/databases/revenant')
    expect((await call('GET', '/databases/revenant')).body.database.DbId).toBe(DbId)
    const again = await create('revenant')
    const { body } = await call('GET', '/databases/revenant')
    expect(body.database.DbId).toBe(again.body.database.DbId)
  })
})

describe('answers of another kind', () => {
  test.each([
    [400, 'database with same name already exists'],
    [409, 'database with name [taken-409] already exists'],
    [422, 'database name is not available'],
  ] as const)('a taken name is answered %i', async (status, error) => {
    faults.answerDuplicates(status)
    await create(`taken-${status}`)
    expect(await create(`taken-${status}`)).toMatchObject({ status, body: { error } })
    faults.clear()
    expect((await create(`taken-${status}`)).status).toBe(400)
  })

  test('the data plane refuses a good token once', async () => {
    const { hostname, token } = await tenant('once')
    faults.fail({ operation: 'data', database: 'once', status: 401 })
    expect((await query(hostname, token)).status).toBe(401)
    expect((await query(hostname, token)).status).toBe(200)
  })

  test('a fault can be about one statement, whose reply is lost after it ran', async () => {
    const { hostname, token } = await tenant('exact')
    faults.dropReply({ operation: 'data', body: /insert into t/ })
    expect((await query(hostname, token, 'create table t (a)')).status).toBe(200)
    await expect(query(hostname, token, 'insert into t values (1)')).rejects.toThrow(TypeError)
    expect(await oracle.execute('exact', 'select a from t')).toEqual([{ a: 1 }])
  })

  test('tokens are minted expired', async () => {
    const { hostname } = await oracle.create('stale').then(({ Hostname }) => ({ hostname: Hostname }))
    faults.expireTokens({ database: 'stale' })
    const mint = async () => (await call('POST', '/databases/stale/auth/tokens?expiration=1h')).body.jwt
    clock = Date.now()
    expect(await query(hostname, await mint())).toMatchObject({
      status: 401,
      result: { error: 'Unauthorized: `The JWT has expired`' },
    })
    expect((await query(hostname, await mint())).status).toBe(200)
  })

  test("an answer can be altered, here to another tenant's hostname", async () => {
    const other = await tenant('other')
    faults.alter({
      operation: 'databases.create',
      alter: (body) => ({ database: { ...body.database, Hostname: other.hostname } }),
    })
    const swapped = await tenant('swapped')
    expect(swapped.hostname).toBe(other.hostname)
    expect((await query(swapped.hostname, swapped.token)).status).toBe(401)
  })
})

test('a client that hangs on a held request does not keep the emulator from clearing up', async () => {
  const gate = faults.hold({ operation: 'data', times: Number.POSITIVE_INFINITY })
  const { hostname, token } = await tenant('hanging')
  const both = [query(hostname, token), query(hostname, token)]
  await gate.met(2)
  faults.clear()
  expect((await Promise.all(both)).map(({ status }) => status)).toEqual([200, 200])
})
