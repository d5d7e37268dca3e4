import { describe, expect, test } from 'vitest'
import { createTestApi } from './test-api.ts'

describe('a body', () => {
  const long = 'x'.repeat(4_000)
  test.each<[string, string, unknown, string]>([
    ['POST', '/', undefined, 'invalid_request'],
    ['POST', '/', '', 'invalid_request'],
    ['POST', '/', 'null', 'invalid_request'],
    ['POST', '/', '[]', 'invalid_request'],
    ['POST', '/', '"new"', 'invalid_request'],
    ['POST', '/', '{"id":"new"', 'invalid_request'],
    ['POST', '/', { id: ['new'] }, 'invalid_request'],
    ['POST', '/', { id: { toString: 'new' } }, 'invalid_request'],
    ['POST', '/', { id: null }, 'invalid_request'],
    ['POST', '/', {}, 'invalid_request'],
    ['POST', '/', { id: 'NEW' }, 'invalid_tenant_id'],
    ['POST', '/', { id: 'www' }, 'invalid_tenant_id'],
    ['POST', '/', { id: 'new\0' }, 'invalid_tenant_id'],
    ['POST', '/', { id: '' }, 'invalid_tenant_id'],
    ['POST', '/', { id: 'n'.repeat(64) }, 'invalid_tenant_id'],
    ['POST', '/', '{"id":"new","__proto__":{"exclusive":false}}', 'invalid_request'],
    ['POST', '/', '{"id":"new","metadata":{"__proto__":{"a":1}}}', 'invalid_request'],
    ['POST', '/', '{"id":"new","constructor":{}}', 'invalid_request'],
    ['POST', '/', { id: 'new', placement: '' }, 'invalid_request'],
    ['POST', '/', { id: 'new', placement: 7 }, 'invalid_request'],
    ['POST', '/', { id: 'new', placement: 'eu west' }, 'invalid_request'],
    ['POST', '/', { id: 'new', placement: 'mars' }, 'invalid_request'],
    ['POST', '/', { id: 'new', placement: 'x'.repeat(65) }, 'invalid_request'],
    ['POST', '/', { id: 'new', metadata: null }, 'invalid_request'],
    ['POST', '/', { id: 'new', metadata: [] }, 'invalid_request'],
    ['POST', '/', { id: 'new', metadata: { deep: { er: 1 } } }, 'invalid_request'],
    ['POST', '/', { id: 'new', metadata: { list: [1] } }, 'invalid_request'],
    ['POST', '/', { id: 'new', metadata: { 'a b': 1 } }, 'invalid_request'],
    ['POST', '/', { id: 'new', metadata: { '': 1 } }, 'invalid_request'],
    ['POST', '/', '{"id":"new","metadata":{"a":1e999}}', 'invalid_request'],
    ['POST', '/', { id: 'new', metadata: { long, longer: long } }, 'invalid_request'],
    ['POST', '/', { id: 'new', metadata: { long: 'x'.repeat(40_000) } }, 'invalid_request'],
    ['PATCH', '/acme', {}, 'invalid_request'],
    ['PATCH', '/acme', { metadata: null }, 'invalid_request'],
    ['PATCH', '/acme', { metadata: { deep: {} } }, 'invalid_request'],
    ['PATCH', '/acme', { metadata: { long, longer: long } }, 'invalid_request'],
    ['PATCH', '/acme', [{ op: 'replace', path: '/state', value: 'active' }], 'invalid_request'],
    ['PATCH', '/unknown', { metadata: {} }, 'tenant_not_found'],
    ['POST', '/acme/purge', {}, 'invalid_request'],
    ['POST', '/acme/purge', { uid: null }, 'invalid_request'],
    ['POST', '/acme/purge', undefined, 'invalid_request'],
    ['POST', '/acme/suspend', { force: true }, 'invalid_request'],
    ['POST', '/acme/resume', '[]', 'invalid_request'],
    ['DELETE', '/acme', { retention: 0 }, 'invalid_request'],
  ])('responds to %s %s %j with %s', async (method, path, body, code) => {
    const api = await createTestApi()
    const before = (await api.call('POST', '/', { id: 'acme' })).body
    expect((await api.call(method, path, body)).body.code).toBe(code)
    expect((await api.call('GET', '/?total=true')).body).toMatchObject({ total: 1, tenants: [before] })
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'text/json',
    'multipart/form-data',
  ])('of type %s is rejected, also when it is empty', async (type) => {
    const api = await createTestApi()
    for (const body of ['{"id":"new"}', '']) {
      const answer = await api.call('POST', '/', body, { 'content-type': type })
      expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' })
    }
    expect((await api.call('GET', '/')).body.tenants).toEqual([])
  })

  test.each(['application/json; charset=utf-8', 'Application/JSON', 'application/merge-patch+json'])(
    'may be of type %s',
    async (type) => {
      const api = await createTestApi()
      await api.call('POST', '/', { id: 'acme' })
      const patch = { metadata: { a: 'ü', b: '' } }
      const { status, body } = await api.call('PATCH', '/acme', patch, { 'content-type': type })
      expect([status, body.metadata]).toEqual([200, { a: 'ü', b: '' }])
    },
  )

  test('of 4 KB of metadata is stored and returned byte for byte', async () => {
    const api = await createTestApi()
    const metadata = {
      quotes: `'"\`;--`,
      controls: '\u0000\u0007\ud800',
      rest: '😀'.repeat(900),
      no: false,
      zero: 0,
    }
    expect((await api.call('POST', '/', { id: 'acme', metadata })).status).toBe(201)
    expect((await api.call('GET', '/acme')).body.metadata).toEqual(metadata)
  })

  test('without an end is rejected before it is read completely', async () => {
    const api = await createTestApi()
    let pulled = 0
    let cancelled = false
    const body = new ReadableStream({
      pull(controller) {
        pulled += 1
        controller.enqueue(new TextEncoder().encode(' '.repeat(10_000)))
      },
      cancel() {
        cancelled = true
      },
    })
    const headers = { 'x-test-payload': '{"tenant_id":"main"}', 'content-type': 'application/json' }
    const response = await api.request('/', { method: 'POST', body, headers, duplex: 'half' } as RequestInit)
    expect(response.status).toBe(400)
    expect(pulled).toBeLessThan(8)
    expect(cancelled).toBe(true)
  })
})

describe('the members that the server owns', () => {
  const owned = {
    uid: crypto.randomUUID(),
    generation: 7,
    name: 'tenant_globex',
    locator: { name: 'tenant_globex' },
    state: 'active',
    schemaVersion: '9999',
    schema_version: '9999',
    error: null,
    operation: null,
    operation_id: null,
    lastOperation: crypto.randomUUID(),
    superseded: true,
    revision: crypto.randomUUID(),
    createdAt: '2020-01-01T00:00:00Z',
    updatedAt: '2020-01-01T00:00:00Z',
    readyAt: '2020-01-01T00:00:00Z',
    deletedAt: null,
    deletedFrom: 'active',
    purgeAfter: '2020-01-01T00:00:00Z',
    retention: 0,
    hooks: true,
    exclusive: false,
    wait: true,
    request: { key: 'k', hash: 'h' },
    before: null,
  }
  const others = { id: 'globex', placement: 'us' }

  test('are all members of a record except the metadata', async () => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    const record = await api.lifecycle.get('acme')
    expect({ ...owned, ...others, metadata: {} }).toMatchObject(
      Object.fromEntries(Object.keys(record).map((name) => [name, expect.toSatisfy(() => true)])),
    )
  })

  test.each(Object.entries(owned))('%s cannot be written, in no way', async (name, value) => {
    const api = await createTestApi()
    const before = (await api.call('POST', '/', { id: 'acme' })).body
    const tries = [
      await api.call('POST', '/', { id: 'new', [name]: value }),
      await api.call('PATCH', '/acme', { metadata: {}, [name]: value }),
      await api.call('PATCH', '/acme', { [name]: value }),
      await api.call('POST', '/acme/suspend', { [name]: value }),
      await api.call('GET', `/?${name}=${encodeURIComponent(JSON.stringify(value))}`),
      await api.call('POST', `/?${name}=1`, { id: 'new' }),
      await api.call('PATCH', `/acme?${name}=1`, { metadata: {} }),
    ]
    for (const { body } of tries) expect(body).toMatchObject({ status: 400, code: 'invalid_request' })
    expect((await api.call('GET', '/?total=true')).body).toMatchObject({ total: 1, tenants: [before] })
  })

  test.each(Object.entries(others))('%s cannot be changed', async (name, value) => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    expect((await api.call('PATCH', '/acme', { metadata: {}, [name]: value })).body.code).toBe(
      'invalid_request',
    )
  })
})
