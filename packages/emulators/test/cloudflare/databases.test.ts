import { describe, expect, test } from 'vitest'
import { emulatorForTests, readCode } from './support.ts'

const cloudflare = await emulatorForTests({ databaseLimit: 30 })
const { accountId, baseUrl, call, make, oracle } = cloudflare
const absent = '00000000-0000-4000-8000-000000000000'

describe('databases', () => {
  test('are created, found by uuid and by name, and deleted', async () => {
    const { status, body } = await call('POST', '/d1/database', {
      ...{
        name: 'one',
        primary_location_hint: 'apac',
        jurisdiction: 'eu',
        read_replication: { mode: 'auto' },
      },
    })
    expect(status).toBe(200)
    const { uuid } = body.result
    expect(body.result).toMatchObject({
      ...{ name: 'one', version: 'production', num_tables: 0, jurisdiction: 'eu' },
      ...{ read_replication: { mode: 'auto' }, created_in_region: 'APAC' },
    })
    for (const id of [uuid, 'one']) {
      expect((await call('GET', `/d1/database/${id}`)).body.result).toMatchObject({ uuid, name: 'one' })
    }
    const fields = await call('GET', '/d1/database/one?fields=uuid,name')
    expect(fields.body.result).toEqual({ uuid, name: 'one' })
    expect((await call('DELETE', `/d1/database/${uuid}`)).body).toMatchObject({ success: true, result: null })
    expect(await oracle.exists(uuid)).toBe(false)
    for (const [method, id] of [
      ['GET', uuid],
      ['GET', 'one'],
      ['DELETE', uuid],
    ] as const) {
      const gone = await call(method, `/d1/database/${id}`)
      expect([gone.status, readCode(gone)]).toEqual([404, 7404])
    }
  })

  test('have unique names, also when two are created concurrently', async () => {
    const answers = await Promise.all([1, 2].map(() => call('POST', '/d1/database', { name: 'raced' })))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400])
    expect(answers.map(readCode)).toContain(7502)
    expect(oracle.databases().filter(({ name }) => name === 'raced')).toHaveLength(1)
  })

  test.each([
    [{}, 'name'],
    [{ name: '' }, 'name'],
    [{ name: 'x', primary_location_hint: 'moon' }, 'primary_location_hint'],
    [{ name: 'x', jurisdiction: 'mars' }, 'jurisdiction'],
    [{ name: 'x', read_replication: { mode: 'some' } }, 'read_replication.mode'],
  ])('are refused with 7400 for %j', async (body, property) => {
    const refused = await call('POST', '/d1/database', body)
    expect([refused.status, readCode(refused)]).toEqual([400, 7400])
    expect(refused.body.errors[0].message).toContain(`Invalid property: ${property}`)
    expect(await oracle.exists('x')).toBe(false)
  })

  test('are listed in pages, searched by a part of the name, and past the end there are none', async () => {
    for (let index = 0; index < 12; index += 1) await oracle.create(`page-${index}`)
    const page = async (query: string): Promise<any> => (await call('GET', `/d1/database?${query}`)).body
    const first = await page('name=page-&per_page=10')
    expect(first.result_info).toEqual({ count: 10, page: 1, per_page: 10, total_count: 12 })
    expect(Object.keys(first.result[0])).toEqual(['uuid', 'name', 'version', 'created_at'])
    expect((await page('name=page-&per_page=10&page=2')).result).toHaveLength(2)
    expect((await page('name=page-&per_page=10&page=3')).result).toEqual([])
    expect((await page('name=age-11')).result).toMatchObject([{ name: 'page-11' }])
    expect(readCode(await call('GET', '/d1/database?per_page=9'))).toBe(7400)
  })

  test("change their replication; an empty PATCH gets the service's internal error", async () => {
    const uuid = await make('replicated')
    const mode = { read_replication: { mode: 'auto' } }
    expect((await call('PUT', `/d1/database/${uuid}`, mode)).body.result).toMatchObject(mode)
    expect(readCode(await call('PUT', `/d1/database/${uuid}`, {}))).toBe(7400)
    const patched = await call('PATCH', `/d1/database/${uuid}`, { read_replication: { mode: 'disabled' } })
    expect(patched.body.result.read_replication.mode).toBe('disabled')
    const nothing = await call('PATCH', `/d1/database/${uuid}`, {})
    expect([nothing.status, readCode(nothing)]).toEqual([500, 7500])
  })

  test('below their own path they go by uuid alone', async () => {
    await make('by-name')
    for (const [method, path] of [
      ['DELETE', ''],
      ['POST', '/query'],
      ['GET', '/time_travel/bookmark'],
    ] as const) {
      const refused = await call(
        method,
        `/d1/database/by-name${path}`,
        method === 'POST' ? { sql: 'select 1' } : undefined,
      )
      expect(refused.body.errors[0]).toMatchObject({
        code: 7400,
        message: 'Invalid property: databaseId => Invalid uuid',
      })
    }
    expect(readCode(await call('POST', `/d1/database/${absent}/query`, { sql: 'select 1' }))).toBe(7404)
    expect(await oracle.exists('by-name')).toBe(true)
  })

  test('are limited in number for an account', async () => {
    for (let index = oracle.databases().length; index < 30; index += 1) await oracle.create(`full-${index}`)
    const refused = await call('POST', '/d1/database', { name: 'one-too-many' })
    expect([refused.status, readCode(refused)]).toEqual([400, 7406])
    expect(refused.body.errors[0].message).toBe('System limit reached: databases per account (30)')
    for (const { name } of oracle.databases()) if (name.startsWith('full-')) await oracle.destroy(name)
  })
})

describe('a token', () => {
  test('that is unknown is refused', async () => {
    for (const token of ['', 'wrong']) {
      const refused = await call('GET', '/d1/database', undefined, token)
      expect([refused.status, readCode(refused)]).toEqual([401, 10_000])
    }
  })

  test('does what its permissions let it do and no more', async () => {
    const reader = oracle.token(['D1 Read'])
    const writer = oracle.token(['Workers Scripts Write'])
    expect((await call('GET', '/d1/database', undefined, reader)).status).toBe(200)
    const refused = await call('POST', '/d1/database', { name: 'by-reader' }, reader)
    expect([refused.status, readCode(refused)]).toEqual([403, 10_000])
    expect(await oracle.exists('by-reader')).toBe(false)
    expect((await call('GET', '/workers/dispatch/namespaces', undefined, writer)).status).toBe(200)
    expect((await call('GET', '/workers/dispatch/namespaces', undefined, reader)).status).toBe(403)
    expect((await call('GET', '/tokens/verify', undefined, reader)).body.result.status).toBe('active')
  })

  test('is refused for another account and for an invalid account id', async () => {
    const at = async (account: string): Promise<any> => {
      const headers = { authorization: `Bearer ${cloudflare.apiToken}` }
      const response = await cloudflare.fetch(`${baseUrl}/accounts/${account}/d1/database`, { headers })
      return [response.status, ((await response.json()) as any).errors[0].code]
    }
    expect(await at('f'.repeat(32))).toEqual([403, 7403])
    expect(await at('not-an-account')).toEqual([404, 7003])
    expect(accountId).toMatch(/^[0-9a-f]{32}$/)
  })
})

test('a route that is not emulated answers 501, and another host is not reached', async () => {
  expect((await call('GET', '/r2/buckets')).status).toBe(501)
  expect((await call('POST', '/d1/database', '{', cloudflare.apiToken)).status).toBe(400)
  await expect(cloudflare.fetch('https://example.com/x')).rejects.toThrow(/does not let requests out/)
  expect(cloudflare.requests.at(-1)).toMatchObject({ plane: 'foreign', path: 'example.com/x' })
  cloudflare.requests.pop()
  const official = await cloudflare.fetch(
    `https://api.cloudflare.com/client/v4/accounts/${accountId}/d1/database`,
    {
      headers: { authorization: `Bearer ${cloudflare.apiToken}` },
    },
  )
  expect(official.status).toBe(200)
})

test('the request log holds no token and no body', async () => {
  const uuid = await make('logged')
  await cloudflare.query(uuid, "select 'a secret'")
  expect(cloudflare.requests.at(-1)).toEqual({
    ...{ method: 'POST', plane: 'api', operation: 'databases.query', database: 'logged', script: undefined },
    ...{ path: `/client/v4/accounts/${accountId}/d1/database/${uuid}/query`, status: 200, faults: [] },
  })
})
