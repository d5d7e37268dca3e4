import { describe, expect, test } from 'vitest'
import { emulatorForTests, readCode } from './support.ts'

let clock = Date.parse('2026-11-24T12:00:00Z')
const cloudflare = await emulatorForTests({ now: () => clock })
const { call, dispatcher, faults, make, oracle, query, upload } = cloudflare
const create = (name: string) => call('POST', '/d1/database', { name })
const list = () => call('GET', '/d1/database')

describe('lost and failed answers', () => {
  test('a dropped reply leaves the database created, once', async () => {
    const fault = faults.dropReply({ operation: 'databases.create', database: 'lost' })
    expect((await create('not-lost')).status).toBe(200)
    await expect(create('lost')).rejects.toThrow(TypeError)
    expect(await oracle.exists('lost')).toBe(true)
    expect(fault.hits).toBe(1)
    expect(readCode(await create('lost'))).toBe(7502)
    expect(cloudflare.requests.at(-2)).toMatchObject({ status: undefined, faults: ['dropReply'] })
  })

  test('a dropped reply of SQL leaves it committed; a dropped request does not', async () => {
    const uuid = await make('committing')
    faults.dropReply({ operation: 'databases.query', body: /create table t/ })
    await expect(query(uuid, 'create table t (a)')).rejects.toThrow(TypeError)
    expect(await oracle.execute('committing', 'select * from t')).toEqual([])
    faults.dropRequest({ operation: 'databases.query' })
    await expect(query(uuid, 'insert into t values (1)')).rejects.toThrow(TypeError)
    expect(await oracle.execute('committing', 'select * from t')).toEqual([])
  })

  test('a dropped reply of a delete leaves the database deleted', async () => {
    const { uuid } = await oracle.create('unheard')
    faults.dropReply({ operation: 'databases.delete', database: 'unheard' })
    await expect(call('DELETE', `/d1/database/${uuid}`)).rejects.toThrow(TypeError)
    expect(await oracle.exists(uuid)).toBe(false)
  })

  test('7500 has both its meanings: 400 for SQL, 500 for the service', async () => {
    const uuid = await make('both')
    expect((await query(uuid, 'selec')).status).toBe(400)
    faults.fail({ operation: 'databases.query' })
    const failed = await query(uuid, 'create table t (a)')
    expect([failed.status, readCode(failed)]).toEqual([500, 7500])
    expect(failed.body.errors[0].message).toMatch(/^internal error; reference = e_/)
    expect((await call('GET', `/d1/database/${uuid}`)).body.result.num_tables).toBe(0)
    faults.failAfterCommit({ operation: 'databases.query' })
    expect((await query(uuid, 'create table t (a)')).status).toBe(500)
    expect((await call('GET', `/d1/database/${uuid}`)).body.result.num_tables).toBe(1)
  })

  test('fail answers other codes, such as an intermittent 7403', async () => {
    faults.fail({ operation: 'databases.list', status: 403, code: 7403 })
    const refused = await list()
    expect([refused.status, readCode(refused)]).toEqual([403, 7403])
    expect((await list()).status).toBe(200)
  })

  test('gatewayTimeout answers an HTML page with 504, before or after the commit', async () => {
    faults.gatewayTimeout({ operation: 'databases.create', database: 'late' })
    const first = await create('late')
    expect([first.status, typeof first.body]).toEqual([504, 'string'])
    expect(await oracle.exists('late')).toBe(false)
    faults.gatewayTimeout({ operation: 'databases.create', database: 'late', committed: true })
    expect((await create('late')).status).toBe(504)
    expect(await oracle.exists('late')).toBe(true)
  })

  test('alter turns a success into `success: false` or a null result', async () => {
    faults.alter({
      operation: 'databases.create',
      alter: (body) => ({ ...body, success: false, result: null }),
    })
    expect(await create('altered')).toMatchObject({ status: 200, body: { success: false, result: null } })
    expect(await oracle.exists('altered')).toBe(true)
  })

  test('a script that cannot be reached', async () => {
    await upload('unreached', 'export default { fetch: () => new Response("here") }')
    faults.dropRequest({ operation: 'dispatch' })
    const get = () => dispatcher('prod').get('unreached').fetch('https://x.invalid/')
    await expect(get()).rejects.toThrow()
    expect(await (await get()).text()).toBe('here')
  })

  test('a held request continues when it is released; concurrent requests share a count', async () => {
    const gate = faults.hold({ operation: 'databases.create', at: 'after' })
    const pending = create('held')
    await gate.met()
    expect(await oracle.exists('held')).toBe(true)
    await oracle.destroy('held')
    gate.remove()
    expect((await pending).status).toBe(200)
    faults.fail({ operation: 'databases.list' })
    expect((await Promise.all([list(), list()])).map(({ status }) => status).sort()).toEqual([200, 500])
  })
})

describe('the rate limit', () => {
  test("defaults to the service's: 1,200 requests in 5 minutes", async () => {
    faults.rateLimit()
    const { headers } = await list()
    expect(headers.get('ratelimit-policy')).toBe('"default";q=1200;w=300')
    expect(headers.get('ratelimit')).toBe('"default";r=1199;t=300')
  })

  test('lets so many requests of a window through, then refuses all for 5 minutes', async () => {
    faults.rateLimit({ limit: 20 })
    const answers = await Promise.all(Array.from({ length: 20 }, list))
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    clock += 100_000
    const refused = await list()
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('300')
    expect(refused.headers.get('ratelimit')).toBe('"default";r=0;t=300')
    clock += 299_000
    const late = await create('blocked')
    expect([late.status, late.headers.get('retry-after')]).toEqual([429, '1'])
    expect(await oracle.exists('blocked')).toBe(false)
    clock += 1000
    const open = await list()
    expect([open.status, open.headers.get('ratelimit')]).toEqual([200, '"default";r=19;t=300'])
  })

  test('starts over with each window, counts refusals of other kinds too, and leaves scripts alone', async () => {
    await upload('free', 'export default { fetch: () => new Response("here") }')
    faults.rateLimit({ limit: 2, windowMs: 1000, blockMs: 5000, retryAfter: false })
    const get = () => dispatcher('prod').get('free').fetch('https://x.invalid/')
    expect((await create('')).status).toBe(400)
    expect((await list()).headers.get('ratelimit')).toBe('"default";r=0;t=1')
    clock += 1000
    for (const status of [200, 200, 429]) expect((await list()).status).toBe(status)
    const refused = await list()
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, null])
    expect((await get()).status).toBe(200)
    clock += 5000
    expect((await list()).status).toBe(200)
  })
})
