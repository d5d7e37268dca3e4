import { describe, expect, test } from 'vitest'
import { cloudflareEmulatorDispatcher } from '../../src/client.ts'
import { emulatorForTests, readCode, scriptForm } from './support.ts'

const cloudflare = await emulatorForTests()
const { call, dispatcher, make, oracle, query, upload } = cloudflare
const prod = '/workers/dispatch/namespaces/prod/scripts'
const d1 = (database_id: string) => ({ type: 'd1', name: 'DB', database_id })

const echo = `export default { async fetch(request, env) {
  return Response.json({
    url: request.url, method: request.method, header: request.headers.get('x-own'), body: await request.text(),
    env: Object.keys(env).sort(), text: env.TEXT, json: env.JSON_VALUE,
  }, { status: 418, headers: { 'x-answer': 'yes' } })
} }`

const reader = `export default { async fetch(request, env) {
  try {
    const session = env.DB.withSession('first-primary')
    const [inserted, all] = await session.batch([
      session.prepare('insert into t values (?, ?)').bind(await request.text(), new Uint8Array([1, 2])),
      session.prepare('select a, hex(b) as b from t'),
    ])
    return Response.json({ changes: inserted.meta.changes, rows: all.results, bookmark: session.getBookmark() })
  } catch (error) { return new Response(error.message, { status: 500 }) }
} }`

describe('an uploaded script', () => {
  test('runs, and sees the request and its own bindings', async () => {
    const bindings = [
      { type: 'plain_text', name: 'TEXT', text: 'plain' },
      { type: 'json', name: 'JSON_VALUE', json: { a: 1 } },
      { type: 'secret_text', name: 'KEY', text: 'hidden' },
      d1(await make('bound')),
    ]
    expect((await upload('echo', echo, { bindings, tags: ['tenant:a'] })).body.result).toMatchObject({
      id: 'echo',
    })
    const init = { method: 'POST', body: 'hello', headers: { 'x-own': 'mine' } }
    const response = await dispatcher('prod').get('echo').fetch('https://app.example/path?q=1', init)
    expect(response.status).toBe(418)
    expect(response.headers.get('x-answer')).toBe('yes')
    expect(await response.json()).toEqual({
      ...{ url: 'https://app.example/path?q=1', method: 'POST', header: 'mine', body: 'hello' },
      ...{ env: ['DB', 'JSON_VALUE', 'KEY', 'TEXT'], text: 'plain', json: { a: 1 } },
    })
    const listed = (await call('GET', `${prod}/echo/bindings`)).body.result
    expect(listed).toContainEqual({ type: 'secret_text', name: 'KEY' })
    expect(JSON.stringify(listed)).not.toContain('hidden')
  })

  test('has its database through the real binding: batches, sessions, bytes', async () => {
    const uuid = await make('tenant-a')
    await query(uuid, 'create table t (a, b)')
    await upload('tenant-a', reader, { bindings: [d1(uuid)] })
    const ask = async (): Promise<any> =>
      await (
        await dispatcher('prod').get('tenant-a').fetch('https://x.invalid/', { method: 'POST', body: 'one' })
      ).json()
    const first = await ask()
    expect(first).toMatchObject({ changes: 1, rows: [{ a: 'one', b: '0102' }] })
    const travel = await call('GET', `/d1/database/${uuid}/time_travel/bookmark`)
    expect(first.bookmark).toBe(travel.body.result.bookmark)
    expect((await ask()).rows).toHaveLength(2)
    expect(await oracle.execute('tenant-a', 'select count(*) as n from t')).toEqual([{ n: 2 }])
  })

  test("reaches no other tenant's database", async () => {
    const [a, b] = [await make('apart-a'), await make('apart-b')]
    for (const [name, uuid] of [
      ['apart-a', a],
      ['apart-b', b],
    ] as const) {
      await query(uuid, 'create table t (a, b)')
      await upload(name, reader, { bindings: [d1(uuid)] })
    }
    const ask = (name: string, body: string) =>
      dispatcher('prod').get(name).fetch('https://x.invalid/', { method: 'POST', body })
    await Promise.all(
      Array.from({ length: 20 }, (_, at) => ask(at % 2 ? 'apart-a' : 'apart-b', at % 2 ? 'a' : 'b')),
    )
    expect(await oracle.execute('apart-a', 'select a, count(*) as n from t group by a')).toEqual([
      { a: 'a', n: 10 },
    ])
    expect(await oracle.execute('apart-b', 'select a, count(*) as n from t group by a')).toEqual([
      { a: 'b', n: 10 },
    ])
  })

  test('gets an error from a database that is deleted under it', async () => {
    const uuid = await make('doomed')
    await upload('doomed', reader, { bindings: [d1(uuid)] })
    await call('DELETE', `/d1/database/${uuid}`)
    const response = await dispatcher('prod')
      .get('doomed')
      .fetch('https://x.invalid/', { method: 'POST', body: 'x' })
    expect(response.status).toBe(500)
    expect(await response.text()).toContain('could not be found')
    expect(await oracle.exists(uuid)).toBe(false)
  })

  test('is replaced by the next upload, which keeps the secrets that it names', async () => {
    const old = [
      { type: 'secret_text', name: 'KEY', text: 'hidden' },
      { type: 'plain_text', name: 'TEXT', text: 'old' },
    ]
    await upload('twice', echo, { bindings: old })
    const next = [{ type: 'plain_text', name: 'OTHER', text: 'new' }]
    await upload('twice', echo, { bindings: next, keep_bindings: ['secret_text'] })
    const answer: any = await (await dispatcher('prod').get('twice').fetch('https://x.invalid/')).json()
    expect(answer.env).toEqual(['KEY', 'OTHER'])
    await upload('twice', echo, { bindings: [{ type: 'inherit', name: 'OTHER' }] })
    expect((await call('GET', `${prod}/twice/settings`)).body.result.bindings).toEqual(next)
  })

  test("rejects the caller's fetch with the error that it throws", async () => {
    await upload('throws', 'export default { fetch() { throw new Error("its own message") } }')
    await expect(dispatcher('prod').get('throws').fetch('https://x.invalid/')).rejects.toThrow(
      'its own message',
    )
  })

  test('may be a class', async () => {
    const uuid = await make('classy')
    const code = `import { WorkerEntrypoint } from 'cloudflare:workers'
      export default class extends WorkerEntrypoint {
        async fetch() { return Response.json((await this.env.DB.prepare('select 7 as n').all()).results) }
      }`
    await upload('classy', code, { bindings: [d1(uuid)] })
    expect(await (await dispatcher('prod').get('classy').fetch('https://x.invalid/')).json()).toEqual([
      { n: 7 },
    ])
  })

  test('is gone when it is deleted', async () => {
    await upload('gone', echo)
    expect((await call('DELETE', `${prod}/gone?force=true`)).body.result).toBeNull()
    await expect(dispatcher('prod').get('gone').fetch('https://x.invalid/')).rejects.toThrow(
      /^Worker not found/,
    )
    expect(readCode(await call('DELETE', `${prod}/gone`))).toBe(10_007)
    expect(oracle.scripts().map(({ script }) => script)).not.toContain('prod/gone')
  })
})

describe('an upload', () => {
  test.each([
    ['no metadata', (form: FormData) => form.delete('metadata')],
    [
      'flattened metadata, as the official SDK sends it',
      (form: FormData) => {
        form.delete('metadata')
        form.set('metadata[main_module]', 'worker.mjs')
      },
    ],
    ['metadata that is not JSON', (form: FormData) => form.set('metadata', 'main_module')],
    ['no main module', (form: FormData) => form.delete('worker.mjs')],
    [
      'a main module of another type',
      (form: FormData) => form.set('worker.mjs', new Blob(['x'], { type: 'text/css' })),
    ],
  ])('with %s is refused with 10021', async (_, change) => {
    const form = scriptForm(echo, {})
    change(form)
    const refused = await call('PUT', `${prod}/refused`, form)
    expect([refused.status, readCode(refused)]).toEqual([400, 10_021])
    expect((await call('GET', `${prod}/refused`)).status).toBe(404)
  })

  test('with a database that is not there, an unknown binding to inherit, or no form at all', async () => {
    expect(readCode(await upload('refused', echo, { bindings: [d1('absent')] }))).toBe(10_021)
    expect(readCode(await upload('refused', echo, { bindings: [{ type: 'inherit', name: 'X' }] }))).toBe(
      10_057,
    )
    expect(readCode(await call('PUT', `${prod}/refused`, { main_module: 'x' }))).toBe(10_001)
    expect((await upload('refused', echo, { bindings: [{ type: 'r2_bucket', name: 'X' }] })).status).toBe(501)
    expect(oracle.scripts().map(({ script }) => script)).not.toContain('prod/refused')
  })
})

test('namespaces are created, listed with their scripts, and deleted with their scripts', async () => {
  const path = '/workers/dispatch/namespaces'
  expect((await call('POST', path, { name: 'other' })).body.result).toMatchObject({ namespace_name: 'other' })
  expect((await call('POST', path, { name: 'other' })).body.success).toBe(false)
  expect((await call('PUT', `${path}/other/scripts/s`, scriptForm(echo, {}))).status).toBe(200)
  const listed = (await call('GET', `${path}/other/scripts`)).body.result
  expect(listed).toMatchObject([{ dispatch_namespace: 'other', script: { id: 's' } }])
  expect((await call('GET', `${path}/other`)).body.result.script_count).toBe(1)
  await call('DELETE', `${path}/other`)
  expect((await call('PUT', `${path}/other/scripts/s`, scriptForm(echo, {}))).status).toBe(404)
  await expect(dispatcher('other').get('s').fetch('https://x.invalid/')).rejects.toThrow(/^Worker not found/)
})

test('the stand-in for the dispatcher passes a redirect, a cookie and an empty body on', async () => {
  const code = `export default { fetch: () => {
    const headers = new Headers({ location: 'https://elsewhere.example/' })
    headers.append('set-cookie', 'a=1'); headers.append('set-cookie', 'b=2')
    return new Response(null, { status: 302, headers })
  } }`
  await upload('redirects', code)
  const own = cloudflareEmulatorDispatcher(`${cloudflare.url}/`, 'prod')
  const response = await own.get('redirects', {}, {}).fetch('https://x.invalid/')
  expect([response.status, response.headers.get('location')]).toEqual([302, 'https://elsewhere.example/'])
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
  expect(cloudflare.requests.at(-1)).toMatchObject({
    plane: 'dispatch',
    operation: 'dispatch',
    script: 'redirects',
  })
})
