import { Hono } from 'hono'
import { describe, expect, test, vi } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import type { MultiTenancyConfig } from '../../src/setup.ts'
import { setupMultiTenancy } from '../../src/setup.ts'
import type { TenantFactory } from '../../src/types/tenant-factory.ts'
import { createTestDatabases, payloadFromHeader } from '../middleware/test-databases.ts'

const getAdapters = async (id: string) => ({ id })

describe('hooks', () => {
  test("call the configuration's provision and deprovision with a valid tenant id", async () => {
    const calls: string[] = []
    const { hooks } = setupMultiTenancy({
      databaseIsolation: {
        getAdapters,
        onProvision: async (id) => void calls.push(`+${id}`),
        onDeprovision: async (id) => void calls.push(`-${id}`),
      },
    })
    await hooks.onProvision('acme')
    await hooks.onDeprovision('acme')
    expect(calls).toEqual(['+acme', '-acme'])
    for (const hook of [hooks.onProvision, hooks.onDeprovision]) {
      await expect(hook('ACME')).rejects.toMatchObject({ code: 'invalid_tenant_id' })
      await expect(hook('www')).rejects.toMatchObject({ code: 'invalid_tenant_id' })
      await expect(hook(['acme'] as never)).rejects.toMatchObject({ code: 'invalid_tenant_id' })
    }
    expect(calls).toEqual(['+acme', '-acme'])
  })

  test("call the factory's provision and deprovision", async () => {
    const calls: string[] = []
    const factory = {
      getAdapters,
      provision: async (id: string) => void calls.push(`+${id}`),
      deprovision: async (id: string) => void calls.push(`-${id}`),
    }
    const { hooks } = setupMultiTenancy({ databaseIsolation: factory })
    await hooks.onProvision('acme')
    await hooks.onDeprovision('acme')
    expect(calls).toEqual(['+acme', '-acme'])
    const wrapped = setupMultiTenancy({
      databaseIsolation: { ...factory, onProvision: async () => void calls.push('wrapped') },
    })
    await wrapped.hooks.onProvision('acme')
    expect(calls.at(-1)).toBe('wrapped')
  })

  test('reject calls that the configuration does not provide', async () => {
    const { hooks, tenants } = setupMultiTenancy({ databaseIsolation: { getAdapters } })
    for (const call of [hooks.onProvision, hooks.onDeprovision, tenants.create, tenants.delete]) {
      await expect(call('acme')).rejects.toMatchObject({ code: 'not_supported' })
    }
  })

  test('throw coded errors', async () => {
    const cause = new Error('disk full')
    const { hooks } = setupMultiTenancy({
      databaseIsolation: { getAdapters, onProvision: () => Promise.reject(cause) },
    })
    await expect(hooks.onProvision('acme')).rejects.toMatchObject({ code: 'internal', cause })
  })
})

describe('tenants', () => {
  const STEPS = ['beforeCreate', 'onProvision', 'afterCreate', 'beforeDelete', 'onDeprovision', 'afterDelete']

  /** A set-up that writes down each step, and throws in the one named. */
  function setUp(failing?: string, error: unknown = new Error('no')) {
    const calls: string[] = []
    const onHookError = vi.fn()
    const step = (name: string) => async (id: string) => {
      calls.push(`${name} ${id}`)
      if (name === failing) throw error
    }
    const { tenants } = setupMultiTenancy({
      databaseIsolation: {
        getAdapters,
        onProvision: step('onProvision'),
        onDeprovision: step('onDeprovision'),
      },
      hooks: {
        beforeCreate: step('beforeCreate'),
        afterCreate: step('afterCreate'),
        beforeDelete: step('beforeDelete'),
        afterDelete: step('afterDelete'),
      },
      onHookError,
    })
    return {
      tenants,
      calls,
      onHookError,
      run: () => tenants.create('acme').then(() => tenants.delete('acme')),
    }
  }

  test('are created and deleted with every hook called in order', async () => {
    const { run, calls, onHookError } = setUp()
    await run()
    expect(calls).toEqual(STEPS.map((name) => `${name} acme`))
    expect(onHookError).not.toHaveBeenCalled()
  })

  test.each(['beforeCreate', 'onProvision', 'beforeDelete', 'onDeprovision'])(
    'a failing %s stops it there',
    async (failing) => {
      const { run, calls } = setUp(failing)
      await expect(run()).rejects.toMatchObject({ code: 'internal', cause: { message: 'no' } })
      expect(calls).toEqual(STEPS.slice(0, STEPS.indexOf(failing) + 1).map((name) => `${name} acme`))
    },
  )

  test('are rejected with the code of a before-hook', async () => {
    const { run } = setUp('beforeCreate', new TenancyError('quota_exceeded', 'no more tenants'))
    await expect(run()).rejects.toMatchObject({ code: 'quota_exceeded' })
  })

  test.each(['afterCreate', 'afterDelete'])(
    'reports a failing %s and completes the operation',
    async (failing) => {
      for (const error of [new Error('no'), 'no', undefined]) {
        const { run, calls, onHookError } = setUp(failing, error)
        await run()
        expect(calls).toHaveLength(STEPS.length)
        expect(onHookError).toHaveBeenCalledExactlyOnceWith(
          expect.objectContaining({
            name: 'TenancyError',
            code: 'internal',
            step: failing,
            tenantId: 'acme',
          }),
        )
      }
    },
  )

  test('are created although a reporter throws', async () => {
    for (const report of [
      () => Promise.reject(new Error('no log')),
      () => {
        throw new Error('no log')
      },
    ]) {
      const { run, onHookError } = setUp('afterCreate')
      onHookError.mockImplementation(report)
      await run()
    }
  })

  test('are rejected for an invalid id before any hook or database is called', async () => {
    const { tenants, calls } = setUp()
    for (const call of [tenants.create, tenants.delete, tenants.get]) {
      await expect(call('../acme')).rejects.toMatchObject({ code: 'invalid_tenant_id' })
    }
    expect(calls).toEqual([])
  })

  test('cannot be suspended, restored or purged without a catalog', async () => {
    const { tenants, calls } = setUp()
    const all = [
      () => tenants.list(),
      () => tenants.update('acme', {}),
      () => tenants.undelete('acme'),
      () => tenants.purge('acme'),
      () => tenants.suspend('acme'),
      () => tenants.resume('acme'),
      () => tenants.retry('acme'),
      () => tenants.operations('acme'),
      () => tenants.operation('x'),
      () => tenants.create('acme', { metadata: {} }),
      () => tenants.create('acme', { exclusive: true }),
      () => tenants.delete('acme', { retention: 0 }),
    ]
    for (const call of all) {
      const expected = { code: 'not_supported', message: expect.stringContaining('needs a catalog') }
      await expect(call()).rejects.toMatchObject(expected)
    }
    expect(calls).toEqual([])
    expect(await tenants.create('acme', {})).toEqual({ id: 'acme', state: 'active' })
    expect(await tenants.delete('acme', { retention: undefined })).toBeUndefined()
  })

  test('are shown as a request receives them', async () => {
    expect(await setUp().tenants.get('acme')).toEqual({ id: 'acme', state: 'active' })
  })
})

describe('setupMultiTenancy', () => {
  test('serves requests by every option of its configuration', async () => {
    const testDatabases = createTestDatabases(['acme', 'main'])
    const config: MultiTenancyConfig<{ owner: string }> = {
      databaseIsolation: testDatabases.databaseIsolation,
      accessControl: { mainTenantId: 'main' },
      subdomainRouting: {
        baseDomain: 'example.com',
        reservedSubdomains: ['www', 'auth'],
        resolveSubdomain: async (label) => (label === 'shop' ? 'acme' : undefined),
      },
      reservedTenantIds: ['internal'],
      cacheHeaders: false,
    }
    const multiTenancy = setupMultiTenancy(config)
    expect(multiTenancy.config).toBe(config)
    const app = new Hono()
    payloadFromHeader(app)
    app.use('/api/*', multiTenancy.middleware)
    app.get('/api/owner', (c) => c.text((c.env as { data: { owner: string } }).data.owner))
    app.get('/', (c) => c.text('everyone'))
    const owner = async (host: string, tenant: string) => {
      const headers = { 'x-test-payload': JSON.stringify({ tenant_id: tenant }) }
      const response = await app.request(`http://${host}/api/owner`, { headers })
      return response.ok ? response.text() : response.status
    }
    expect(await owner('shop.example.com', 'acme')).toBe('acme')
    expect(await owner('shop.example.com', 'main')).toBe('acme')
    expect(await owner('shop.example.com', 'victim')).toBe(404)
    expect(await owner('acme.example.com', 'acme')).toBe(404)
    expect(await owner('auth.example.com', 'main')).toBe(404)
    expect(await (await app.request('/')).text()).toBe('everyone')
  })

  test.each([
    [undefined, 'config'],
    [null, 'config'],
    [{}, 'databaseIsolation'],
    [{ databaseIsolation: {} }, 'databaseIsolation.getAdapters'],
    [{ databaseIsolaton: { getAdapters } }, 'databaseIsolaton'],
    [{ accessControl: { mainTenant: 'main' } }, 'accessControl.mainTenant'],
    [{ accessControl: null }, 'accessControl'],
    [{ accessControl: { mainTenantId: 'a', controlPlaneTenantId: 'b' } }, 'accessControl.mainTenantId'],
    [{ subdomainRouting: {} }, 'subdomainRouting.baseDomain'],
    [{ subdomainRouting: { baseDomain: 'a.b', reserved: [] } }, 'subdomainRouting.reserved'],
    [{ subdomainRouting: { baseDomain: 'a.b', forwardedHost: true } }, 'subdomainRouting.trustedProxy'],
    [{ resolvers: ['x'] }, 'resolvers'],
    [{ reservedTenantIds: ['WWW'] }, 'reservedTenantIds'],
    [{ reservedTenantIds: 'www' }, 'reservedTenantIds'],
    [{ cacheHeaders: 'no' }, 'cacheHeaders'],
    [{ hooks: { onCreate: () => {} } }, 'hooks.onCreate'],
    [{ hooks: { beforeCreate: 'x' } }, 'hooks.beforeCreate'],
    [{ hooks: { beforeUpdate: () => {} } }, 'hooks.beforeUpdate'],
    [{ hooks: { afterUpdate: () => {} } }, 'hooks.afterUpdate'],
    [{ onHookError: 'x' }, 'onHookError'],
  ])('rejects %j and names %s', (options, option) => {
    const config =
      options &&
      !('databaseIsolation' in options) &&
      option !== 'databaseIsolation' &&
      !option.startsWith('databaseIsolaton')
        ? { databaseIsolation: { getAdapters }, ...(options as object) }
        : options
    expect(() => setupMultiTenancy(config as never)).toThrow(
      expect.objectContaining({ code: 'config_invalid', detail: expect.stringMatching(`^${option}:`) }),
    )
  })

  test('accepts a whole factory', async () => {
    const open = vi.fn(async (id: string) => ({ id, generation: 2, state: 'active', adapters: { id } }))
    const never = () => Promise.reject(new Error('not to be called'))
    const factory = {
      getAdapters: never,
      provision: never,
      deprovision: never,
      open,
    } as never as TenantFactory<{
      id: string
    }>
    const { tenants } = setupMultiTenancy({ databaseIsolation: factory })
    expect(await tenants.get('acme')).toEqual({ id: 'acme', state: 'active', generation: 2 })
  })
})
