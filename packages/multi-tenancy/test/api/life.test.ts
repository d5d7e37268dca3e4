import { describe, expect, test } from 'vitest'
import { createTestApi } from './test-api.ts'

describe('the life of a tenant over HTTP', () => {
  test('creates, shows, changes, suspends, resumes, deletes, restores and purges a tenant', async () => {
    const api = await createTestApi()
    const created = await api.call('POST', '/', { id: 'acme', metadata: { plan: 'pro', seats: 3 } })
    expect([created.status, created.headers.get('location')]).toEqual([201, '/tenants/acme'])
    expect(created.body).toMatchObject({
      id: 'acme',
      generation: 1,
      state: 'active',
      schemaVersion: '0001_notes',
      metadata: { plan: 'pro', seats: 3 },
      operation: null,
      error: null,
      deletedAt: null,
    })
    const { db } = await api.factory.getAdapters('acme')
    await db.insertInto('notes').values({ body: 'kept' }).execute()

    const shown = await api.call('GET', '/acme')
    expect(shown).toMatchObject({ status: 200, body: created.body })
    const changed = await api.call('PATCH', '/acme', { metadata: { plan: null, region: 'eu' } })
    expect(changed).toMatchObject({ status: 200, body: { metadata: { seats: 3, region: 'eu' } } })
    expect(changed.body.metadata).not.toHaveProperty('plan')

    expect(await api.call('POST', '/acme/suspend')).toMatchObject({
      status: 200,
      body: { state: 'suspended' },
    })
    await expect(api.factory.getAdapters('acme')).rejects.toMatchObject({ code: 'tenant_suspended' })
    expect(await api.call('POST', '/acme/resume', {})).toMatchObject({
      status: 200,
      body: { state: 'active' },
    })

    const deleted = await api.call('DELETE', '/acme?retention=P1DT2H')
    expect(deleted).toMatchObject({ status: 200, body: { state: 'deleted', uid: created.body.uid } })
    const { deletedAt, purgeAfter } = deleted.body
    expect(Date.parse(purgeAfter) - Date.parse(deletedAt)).toBe(26 * 3_600_000)
    await expect(api.factory.getAdapters('acme')).rejects.toMatchObject({ code: 'tenant_not_found' })

    expect(await api.call('POST', '/acme/undelete')).toMatchObject({ status: 200, body: { state: 'active' } })
    const again = await api.factory.getAdapters('acme')
    expect(await again.db.selectFrom('notes').select('body').execute()).toEqual([{ body: 'kept' }])

    await api.call('DELETE', '/acme')
    expect((await api.call('POST', '/acme/purge', { uid: crypto.randomUUID() })).body.code).toBe('conflict')
    const purged = await api.call('POST', '/acme/purge', { uid: created.body.uid })
    expect(purged).toMatchObject({ status: 200, body: { state: 'purged', metadata: {} } })
    expect((await api.call('GET', '/acme')).status).toBe(404)
    expect((await api.call('DELETE', '/acme')).status).toBe(204)
    expect(api.server.size).toBe(0)
  })

  test('leaves nothing without retention, and the id can be used again', async () => {
    const api = await createTestApi()
    const first = await api.call('POST', '/', { id: 'acme' })
    expect(await api.call('DELETE', '/acme?retention=PT0S')).toMatchObject({ status: 204, body: undefined })
    const second = await api.call('POST', '/', { id: 'acme' })
    expect(second).toMatchObject({ status: 201, body: { generation: 2, state: 'active' } })
    expect(second.body.uid).not.toBe(first.body.uid)
  })

  test('treats a tenant that never existed as deleted', async () => {
    const api = await createTestApi()
    expect((await api.call('DELETE', '/unknown')).status).toBe(204)
  })

  test('rejects an existing id with conflict', async () => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    const again = await api.call('POST', '/', { id: 'acme' })
    expect([again.status, again.body.code]).toEqual([409, 'conflict'])
  })

  test('shows a failed operation with its step, and retries it', async () => {
    let broken = true
    const api = await createTestApi({
      config: (factory) => ({
        databaseIsolation: {
          ...factory,
          onProvision: async () => {
            if (broken) throw new Error('no DNS record')
          },
        },
      }),
    })
    expect((await api.call('POST', '/', { id: 'acme' })).status).toBe(500)
    const failed = await api.call('GET', '/acme')
    expect(failed.body).toMatchObject({
      state: 'failed',
      readyAt: null,
      error: { code: 'internal', message: 'onProvision: no DNS record', step: 'onProvision' },
    })
    const { operation } = failed.body.error
    const detail = await api.call('GET', `/operations/${operation}`)
    expect(detail.body).toMatchObject({ kind: 'provision', state: 'failed', tenantId: 'acme' })
    expect(detail.body.steps.map(({ step, outcome }: any) => `${step} ${outcome}`)).toEqual([
      'create succeeded',
      'stamp succeeded',
      'migrate succeeded',
      'seed succeeded',
      'onProvision failed',
    ])
    broken = false
    expect(await api.call('POST', '/acme/retry')).toMatchObject({
      status: 200,
      body: { state: 'active', error: null },
    })
  })

  test('lists operations in pages, the newest first', async () => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    for (const action of ['suspend', 'resume', 'suspend', 'resume']) await api.call('POST', `/acme/${action}`)
    const kinds: string[] = []
    let query = 'limit=2'
    for (;;) {
      const { body } = await api.call('GET', `/acme/operations?${query}`)
      kinds.push(...body.operations.map(({ kind }: any) => kind))
      if (body.cursor === null) break
      query = `limit=2&cursor=${body.cursor}`
    }
    expect(kinds).toHaveLength(5)
    expect(kinds.filter((kind) => kind === 'suspend')).toHaveLength(2)
    expect((await api.call('GET', '/unknown/operations')).status).toBe(404)
    expect((await api.call('GET', `/operations/${crypto.randomUUID()}`)).status).toBe(404)
  })

  test('rejects deleting, suspending or purging the control-plane tenant', async () => {
    const api = await createTestApi()
    expect((await api.call('POST', '/', { id: 'main' })).status).toBe(201)
    const { uid } = (await api.call('GET', '/main')).body
    for (const [method, path, body] of [
      ['DELETE', '/main'],
      ['DELETE', '/main?retention=PT0S'],
      ['POST', '/main/suspend'],
      ['POST', '/main/purge', { uid }],
    ] as const) {
      expect((await api.call(method, path, body)).body).toMatchObject({ status: 403, code: 'forbidden' })
    }
    expect((await api.call('GET', '/main')).body.state).toBe('active')
    expect((await api.call('PATCH', '/main', { metadata: { a: 1 } })).status).toBe(200)
  })

  test('omits the location of the database from every response', async () => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    await api.updateTenantRow('acme', { locator: '{"name":"tenant_acme","secret":"canary-locator"}' })
    await api.call('POST', '/acme/suspend')
    const { body } = await api.call('GET', '/acme')
    const answers = await Promise.all(
      ['/', '/acme', '/acme/operations', `/operations/${body.lastOperation}`].map((path) =>
        api.call('GET', path),
      ),
    )
    expect(JSON.stringify(answers.map((answer) => answer.body))).not.toMatch(
      /canary|tenant_acme|locator|revision/,
    )
  })
})

describe('with an executor', () => {
  test('responds 202 immediately, with the operation to poll', async () => {
    const handed: string[] = []
    const api = await createTestApi({ executor: async (id) => void handed.push(id) })
    const accepted = await api.call('POST', '/', { id: 'acme' })
    expect(accepted).toMatchObject({ status: 202, body: { state: 'provisioning', operation: handed[0] } })
    expect(accepted.headers.get('location')).toBe('/tenants/acme')
    const busy = await api.call('POST', '/acme/suspend')
    expect([busy.status, busy.body.code, busy.headers.get('retry-after')]).toEqual([409, 'conflict', '5'])
    expect((await api.call('GET', `/operations/${handed[0]}`)).body.state).toBe('running')

    await api.lifecycle.run(handed[0] ?? '')
    expect((await api.call('GET', '/acme')).body).toMatchObject({ state: 'active', operation: null })
    for (const [method, path] of [
      ['POST', '/acme/suspend'],
      ['POST', '/acme/resume'],
      ['DELETE', '/acme'],
      ['POST', '/acme/undelete'],
    ] as const) {
      const { status, body } = await api.call(method, path)
      expect([status, body.operation]).toEqual([202, handed.at(-1)])
      expect((await api.call(method, path)).status).toBe(202)
      await api.lifecycle.run(body.operation)
    }
    expect(handed).toHaveLength(5)
    const gone = await api.call('DELETE', '/acme')
    await api.lifecycle.run(gone.body.operation)
    const purge = await api.call('POST', '/acme/purge', { uid: gone.body.uid })
    expect(purge).toMatchObject({ status: 202, body: { state: 'deleted' } })
    await api.lifecycle.run(purge.body.operation)
    expect((await api.call('GET', '/acme')).status).toBe(404)
  })
})

describe('a tenant called operations', () => {
  test('is reached like any other tenant', async () => {
    const api = await createTestApi()
    const created = await api.call('POST', '/', { id: 'operations' })
    expect([created.status, created.headers.get('location')]).toEqual([201, '/tenants/operations'])
    expect((await api.call('GET', '/operations')).body.id).toBe('operations')
    const history = await api.call('GET', '/operations/operations')
    expect(history.body.operations).toMatchObject([{ kind: 'provision', tenantId: 'operations' }])
    const { id } = history.body.operations[0]
    expect((await api.call('GET', `/operations/${id}`)).body).toMatchObject({ id, kind: 'provision' })
    expect((await api.call('POST', '/operations/suspend')).body.state).toBe('suspended')
    expect((await api.call('GET', '/operations/suspend')).status).toBe(404)
    expect((await api.call('DELETE', '/operations')).body.state).toBe('deleted')
  })
})

describe('a path', () => {
  test.each([
    ['GET', '/%61cme', 'invalid_tenant_id'],
    ['GET', '/ACME', 'invalid_tenant_id'],
    ['GET', '/www', 'invalid_tenant_id'],
    ['GET', '/acme%00', 'invalid_tenant_id'],
    ['GET', '/a%2Facme', 'invalid_tenant_id'],
    ['GET', '/acme%2Foperations', 'invalid_tenant_id'],
    ['GET', '/%61cme/operations', 'invalid_tenant_id'],
    ['POST', '/%61cme/suspend', 'invalid_tenant_id'],
    ['POST', '/x%2Facme/suspend', 'invalid_tenant_id'],
    ['POST', '/%2e%2e%2facme/suspend', 'invalid_tenant_id'],
    ['PATCH', '/acm%65', 'invalid_tenant_id'],
    ['DELETE', '/acme%20', 'invalid_tenant_id'],
    ['DELETE', '/%61cme', 'invalid_tenant_id'],
    ['GET', '/acme/', 'tenant_not_found'],
    ['GET', '/acme/nothing', 'tenant_not_found'],
    ['POST', '/acme/suspend/now', 'tenant_not_found'],
    ['POST', '/acme/%73uspend/', 'tenant_not_found'],
    ['GET', '/operations/%00', 'tenant_not_found'],
    ['GET', "/operations/'%20OR%20'1'='1", 'tenant_not_found'],
  ])('responds to %s %s with %s and leaves acme unchanged', async (method, path, code) => {
    const api = await createTestApi()
    await api.call('POST', '/', { id: 'acme' })
    const body = method === 'PATCH' ? { metadata: { touched: true } } : undefined
    expect((await api.call(method, path, body)).body.code).toBe(code)
    expect((await api.call('GET', '/acme')).body).toMatchObject({ state: 'active', metadata: {} })
  })

  test.each([
    ['PUT', '/acme', 'GET, HEAD, PATCH, DELETE'],
    ['POST', '/acme', 'GET, HEAD, PATCH, DELETE'],
    ['DELETE', '/', 'GET, HEAD, POST'],
    ['GET', '/acme/suspend', 'POST'],
    ['OPTIONS', '/acme/purge', 'POST'],
    ['DELETE', '/acme/operations', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
  ])('rejects the method of %s %s with 405 and Allow', async (method, path, allow) => {
    const api = await createTestApi()
    const { status, body, headers } = await api.call(method, path)
    expect([status, body.code, headers.get('allow')]).toEqual([400, 'invalid_request', allow])
  })

  test('responds to HEAD like GET without a body', async () => {
    const api = await createTestApi()
    expect(await api.call('HEAD', '/acme')).toMatchObject({ status: 404, body: undefined })
    await api.call('POST', '/', { id: 'acme' })
    expect(await api.call('HEAD', '/acme')).toMatchObject({ status: 200, body: undefined })
  })
})
