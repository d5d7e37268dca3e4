import { createGate } from '@tenantry/test-support'
import { describe, expect, test } from 'vitest'
import { createTestApi } from './test-api.ts'

const key = (value: string) => ({ 'idempotency-key': value })

describe('an Idempotency-Key', () => {
  test('creates one tenant in one operation for a repeated request', async () => {
    const calls: string[] = []
    const api = await createTestApi({
      config: () => ({
        hooks: { beforeCreate: (id) => void calls.push(id), afterCreate: (id) => void calls.push(id) },
      }),
    })
    const body = { id: 'acme', metadata: { plan: 'pro' } }
    const first = await api.call('POST', '/', body, key('k1'))
    expect(first.status).toBe(201)
    // The answer was lost, and the process restarted.
    const restarted = await createTestApi({ beside: api })
    for (const process of [api, restarted]) {
      const again = await process.call('POST', '/', body, key('k1'))
      expect([again.status, again.headers.get('location'), again.body]).toEqual([
        201,
        '/tenants/acme',
        first.body,
      ])
    }
    expect((await api.call('GET', '/acme/operations')).body.operations).toHaveLength(1)
    // A quota in `beforeCreate` does not refuse a tenant that already exists.
    expect(calls).toEqual(['acme', 'acme'])
  })

  test('creates one tenant for concurrent requests to two processes', async () => {
    const gate = createGate()
    let created = 0
    const config = () => ({
      hooks: {
        async afterCreate() {
          created += 1
          await gate.pass()
        },
      },
    })
    const one = await createTestApi({ config })
    const two = await createTestApi({ config, beside: one })
    const send = (api: typeof one) => api.call('POST', '/', { id: 'acme' }, key('same'))
    const first = send(one)
    await gate.reached
    // While the first request runs, requests with the same key do not wait for it.
    const others = await Promise.all([send(one), send(two), send(one), send(two)])
    gate.open()
    const done = await first
    expect(done.status).toBe(201)
    const { lastOperation } = done.body
    for (const { status, body } of others) {
      expect([status, body.operation, body.uid]).toEqual([202, lastOperation, done.body.uid])
    }
    const after = await Promise.all([send(one), send(two)])
    for (const { status, body } of after) expect([status, body]).toEqual([201, done.body])
    expect(created).toBe(1)
    expect(one.server.size).toBe(1)
  })

  test('creates one tenant for many concurrent requests', async () => {
    const one = await createTestApi()
    const two = await createTestApi({ beside: one })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 ? one : two).call('POST', '/', { id: 'acme' }, key('race')),
      ),
    )
    for (const { status } of answers) expect([201, 202]).toContain(status)
    expect(new Set(answers.map(({ body }) => body.uid)).size).toBe(1)
    expect((await one.call('GET', '/acme/operations')).body.operations).toHaveLength(1)
  })

  test.each<[string, object]>([
    ['another tenant', { id: 'globex', metadata: { plan: 'pro' } }],
    ['other metadata', { id: 'acme', metadata: { plan: 'free' } }],
    ['no metadata', { id: 'acme' }],
    ['a placement', { id: 'acme', metadata: { plan: 'pro' }, placement: 'eu' }],
  ])('cannot be reused for %s', async (_, body) => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme', metadata: { plan: 'pro' } }, key('k'))
    const answer = await api.call('POST', '/', body, key('k'))
    expect(answer.body).toMatchObject({ status: 409, code: 'conflict' })
    expect((await api.call('GET', '/?total=true')).body.total).toBe(1)
  })

  test('is compared exactly, including case and blanks', async () => {
    const api = await createTestApi()
    const keys = ['Key', 'key', 'k ey', 'k  ey', `'; --`, '%', 'k'.repeat(255)]
    for (const [index, value] of keys.entries()) {
      expect((await api.call('POST', '/', { id: `t${index}` }, key(value))).status).toBe(201)
    }
    for (const [index, value] of keys.entries()) {
      expect((await api.call('POST', '/', { id: `t${index}` }, key(value))).status).toBe(201)
    }
    expect((await api.call('GET', '/?total=true')).body.total).toBe(keys.length)
  })

  test.each(['', 'k'.repeat(256), 'kéy', 'k\tey'])('cannot be %j', async (value) => {
    const api = await createTestApi()
    const { body } = await api.call('POST', '/', { id: 'acme' }, key(value))
    expect(body).toMatchObject({ status: 400, code: 'invalid_request' })
    expect((await api.call('GET', '/acme')).status).toBe(404)
  })

  test('returns the same failure until a retry succeeds', async () => {
    let broken = true
    const api = await createTestApi({
      config: (factory) => ({
        databaseIsolation: {
          ...factory,
          async onProvision() {
            if (broken) throw new Error('no')
          },
        },
      }),
    })
    const send = () => api.call('POST', '/', { id: 'acme' }, key('k'))
    expect((await send()).status).toBe(500)
    broken = false
    expect((await send()).status).toBe(500)
    expect((await api.call('POST', '/acme/retry')).body.state).toBe('active')
  })

  test("is separate from the keys of the app's own code", async () => {
    const api = await createTestApi()
    await api.lifecycle.provision('globex', { request: { key: 'k', hash: 'h' } })
    expect((await api.call('POST', '/', { id: 'acme' }, key('k'))).status).toBe(201)
  })
})
