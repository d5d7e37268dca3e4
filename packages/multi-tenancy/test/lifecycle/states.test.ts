import { getOutcome } from '@tenantry/test-support'
import { describe, expect, it, vi } from 'vitest'
import { createCatalogLocator } from '../../src/factory/locate-in-catalog.ts'
import { parseCacheOptions } from '../../src/factory/options.ts'
import type { TenantId } from '../../src/tenant-id.ts'
import type { LocatedDatabase } from '../../src/types/locate.ts'
import { asId, createStores } from '../catalog/test-stores.ts'
import { createTestEnv, MAX_AGE, type Process, read, write } from './test-env.ts'

const STATE_TTL = 5_000

function served({ factory }: Process, id = 'acme'): Promise<string> {
  return getOutcome(async () => {
    const { db } = await factory.getAdapters(id)
    await db.selectFrom('notes').selectAll().execute()
  })
}

describe('states in the request path', () => {
  it('rejects a suspended tenant immediately in this process, and within stateMaxAge in others, existing clients included', async () => {
    const env = createTestEnv()
    const [one, other] = [await env.start(), await env.start()]
    await one.lifecycle.provision('acme')
    const adapters = await other.factory.getAdapters('acme')
    // The service does not close the database here, so only the state stops the request.
    env.service.databases.get('tenant_acme')
    expect(await served(other)).toBe('succeeded')
    await env.time.advance(1_000)
    await one.lifecycle.suspend('acme')
    env.service.closed.clear()
    expect(await served(one)).toBe('tenant_suspended')
    await env.time.advance(MAX_AGE - 1_000)
    expect(await getOutcome(adapters.db.selectFrom('notes').selectAll().execute())).toBe('tenant_suspended')
    expect(await served(other)).toBe('tenant_suspended')
    await one.lifecycle.resume('acme')
    expect(await served(one)).toBe('succeeded')
    await env.time.advance(MAX_AGE)
    expect(await getOutcome(adapters.db.selectFrom('notes').selectAll().execute())).toBe('succeeded')
    expect(await served(other)).toBe('succeeded')
  })

  it('waits until the service has opened a database everywhere', async () => {
    const env = createTestEnv()
    const { closed } = env.service
    const process = await env.start({
      async around(member, run) {
        const value = await run()
        if (member === 'open tenant_acme') {
          closed.add('tenant_acme')
          void env.time.advance(3_000).then(() => closed.delete('tenant_acme'))
        }
        return value
      },
    })
    const { lifecycle } = process
    await lifecycle.provision('acme')
    await lifecycle.suspend('acme')
    expect(await getOutcome(lifecycle.resume('acme'))).toBe('succeeded')
    expect(await served(process)).toBe('succeeded')
    await lifecycle.suspend('acme')
    expect(await getOutcome(lifecycle.deprovision('acme'))).toBe('succeeded')
    expect(await getOutcome(lifecycle.undelete('acme'))).toBe('succeeded')
    await lifecycle.deprovision('acme', { retention: 0 })
    expect(env.service.databases.has('tenant_acme')).toBe(false)
  })

  it('refreshes the state of a busy tenant in the background, within the shorter limit', async () => {
    const env = createTestEnv()
    const [one, other] = [await env.start(), await env.start()]
    await one.lifecycle.provision('acme')
    expect(await served(other)).toBe('succeeded')
    await one.lifecycle.suspend('acme')
    env.service.closed.clear()
    await env.time.advance(STATE_TTL)
    // This one still gets in, and has the state read.
    await served(other)
    await env.time.advance(1)
    expect(await served(other)).toBe('tenant_suspended')
  })

  it('rejects provisioning, suspended, deleted and unknown tenants with a code for each', async () => {
    const env = createTestEnv()
    const process = await env.start()
    const failing = await env.start({
      around: async (member, run) => {
        if (member === 'batch') throw new Error('no')
        return run()
      },
    })
    await getOutcome(failing.lifecycle.provision('half'))
    await process.lifecycle.provision('acme')
    await process.lifecycle.deprovision('acme')
    expect(await served(process, 'half')).toBe('tenant_not_ready')
    expect(await served(process)).toBe('tenant_not_found')
    expect(await served(process, 'unknown')).toBe('tenant_not_found')
  })

  it('serves a known tenant until stateMaxAge while the catalog is unavailable', async () => {
    const env = createTestEnv()
    const process = await env.start()
    await process.lifecycle.provision('acme')
    const adapters = await process.factory.getAdapters('acme')
    expect(await served(process)).toBe('succeeded')
    const since = env.time.now()
    process.catalog.arm(0, 'outage')
    expect(await served(process, 'beta')).not.toBe('succeeded')
    while (env.time.now() - since < MAX_AGE - 100) {
      expect(await served(process)).toBe('succeeded')
      await env.time.advance(50)
    }
    await env.time.advance(since + MAX_AGE - env.time.now())
    expect(await served(process)).toBe('provider_unavailable')
    expect(await getOutcome(adapters.db.selectFrom('notes').selectAll().execute())).toBe(
      'provider_unavailable',
    )
    process.catalog.disarm()
    expect(await served(process)).toBe('succeeded')
    expect(await getOutcome(adapters.db.selectFrom('notes').selectAll().execute())).toBe('succeeded')
  })

  it('counts the age of a slow catalog reply from its request', async () => {
    const env = createTestEnv()
    const one = await env.start()
    await one.lifecycle.provision('acme')
    let slow = false
    const other = await env.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          async transformResult({ result }) {
            if (slow) await env.time.advance(STATE_TTL - 1_000)
            return result
          },
        }),
    })
    slow = true
    const startedAt = env.time.now()
    const opening = other.factory.getAdapters('acme')
    await env.time.advance(10)
    await one.lifecycle.suspend('acme')
    env.service.closed.clear()
    await opening
    await env.time.advance(startedAt + MAX_AGE - env.time.now())
    expect(await served(other)).toBe('tenant_suspended')
  })

  it('does not cache a look-up that began before the tenant was suspended', async () => {
    const env = createTestEnv()
    let slow = false
    const process = await env.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          async transformResult({ result }) {
            if (slow && 'rows' in result && result.rows.some((row) => row.state === 'active')) {
              slow = false
              await env.time.advance(100)
            }
            return result
          },
        }),
    })
    await process.lifecycle.provision('acme')
    slow = true
    const opening = served(process)
    await Promise.resolve()
    while (slow) await Promise.resolve()
    await process.lifecycle.suspend('acme')
    env.service.closed.clear()
    await opening
    expect(await served(process)).toBe('tenant_suspended')
  })

  it('does not cache a refresh that began before the tenant was suspended', async () => {
    const env = createTestEnv()
    let slow = false
    const process = await env.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          async transformResult({ result }) {
            if (slow) {
              slow = false
              await env.time.advance(100)
            }
            return result
          },
        }),
    })
    await process.lifecycle.provision('acme')
    expect(await served(process)).toBe('succeeded')
    await env.time.advance(STATE_TTL)
    slow = true
    // It gets in, and its state is read; the answer is on its way.
    expect(await served(process)).toBe('succeeded')
    expect(slow).toBe(false)
    await process.lifecycle.suspend('acme')
    env.service.closed.clear()
    await env.time.advance(200)
    expect(await served(process)).toBe('tenant_suspended')
  })

  it('limits the wait for a catalog that does not reply', {
    timeout: 20_000,
  }, async () => {
    const env = createTestEnv()
    let hangs = false
    const process = await env.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          transformResult: ({ result }) => (hangs ? new Promise<never>(() => {}) : Promise.resolve(result)),
        }),
    })
    await process.lifecycle.provision('acme')
    const adapters = await process.factory.getAdapters('acme')
    hangs = true
    await env.time.advance(MAX_AGE)
    // The same in a hundredth of the time.
    const { timeout } = AbortSignal
    const timeoutSpy = vi
      .spyOn(AbortSignal, 'timeout')
      .mockImplementation((ms) => timeout.call(AbortSignal, ms / 100))
    try {
      expect(await getOutcome(adapters.db.selectFrom('notes').selectAll().execute())).toBe('timeout')
      expect(timeoutSpy).toHaveBeenCalledWith(10_000)
    } finally {
      timeoutSpy.mockRestore()
    }
  })

  it('sends a bounded number of queries a second to the catalog for 10,000 busy tenants', {
    timeout: 30_000,
  }, async () => {
    const env = createTestEnv()
    const process = await env.start({ cache: { locatorMax: 20_000, max: 20_000 } })
    await process.lifecycle.provision('acme')
    const template = await env.row('acme')
    const ids = Array.from({ length: 10_000 }, (_, index) => `t${index}`)
    for (let start = 0; start < ids.length; start += 500) {
      const rows = ids.slice(start, start + 500).map((id) => ({
        ...template, tenant_id: id, uid: `uid-${id}`, name: `tenant_${id}`, locator: `{"name":"tenant_${id}"}`,
      })) // biome-ignore format: one row
      await env.db.insertInto('tenantry_tenants').values(rows).execute()
    }
    // Known, as after a request of each.
    const { tenants } = createStores(process.catalog.db, 'sqlite', env.time)
    const { locate, isCurrent: fresh } = createCatalogLocator(
      tenants,
      env.time,
      parseCacheOptions({ locatorMax: 20_000 }),
      { reportError: () => {} },
    )
    const call = () => ({ signal: new AbortController().signal })
    const known: [TenantId, LocatedDatabase][] = []
    for (const id of ids) known.push([asId(id), await locate(asId(id), call())])
    process.catalog.disarm()
    for (let second = 0; second < 10; second++) {
      expect(known.every(([id, database]) => fresh?.(id, database))).toBe(true)
      await env.time.advance(1_000)
    }
    // One round of 10,000 each 5 s: in batches of many.
    expect(process.catalog.count() / 10).toBeLessThan(50)
  })
})

describe('two tenants whose locators are swapped in the catalog', () => {
  it('reject every read and write with wrong_tenant', async () => {
    const env = createTestEnv()
    const [one, fresh] = [await env.start(), await env.start()]
    for (const id of ['acme', 'beta']) {
      await one.lifecycle.provision(id)
      await write(one, id, `secret of ${id}`)
    }
    const adapters = await one.factory.getAdapters('acme')
    const [acme, beta] = [await env.row('acme'), await env.row('beta')]
    await env.updateTenantRow('acme', { locator: beta.locator })
    await env.updateTenantRow('beta', { locator: acme.locator })
    // A process that had it open goes on with the right database until it learns of the swap.
    expect(await adapters.db.selectFrom('notes').select('body').execute()).toEqual([
      { body: 'secret of acme' },
    ])
    await env.time.advance(MAX_AGE)
    for (const process of [one, fresh]) {
      for (const id of ['acme', 'beta']) {
        expect(await getOutcome(read(process, id))).toBe('wrong_tenant')
        expect(await getOutcome(write(process, id, 'poison'))).toBe('wrong_tenant')
        expect(await getOutcome(process.lifecycle.migrate(id))).toBe('succeeded')
      }
    }
    expect(await env.service.rows('tenant_acme', 'SELECT body FROM notes')).toEqual([
      { body: 'secret of acme' },
    ])
    expect(await env.service.rows('tenant_beta', 'SELECT body FROM notes')).toEqual([
      { body: 'secret of beta' },
    ])
    const newer = await env.start({
      migrations: {
        '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)',
        '0002_tags': 'CREATE TABLE tags (name TEXT)',
      },
    })
    expect(await getOutcome(newer.lifecycle.migrate('acme'))).toBe('wrong_tenant')
    expect(await getOutcome(one.lifecycle.deprovision('beta'))).toBe('wrong_tenant')
  })

  it('stay rejected until they are released, also after the catalog is corrected', async () => {
    const env = createTestEnv()
    const process = await env.start()
    for (const id of ['acme', 'beta']) await process.lifecycle.provision(id)
    const { locator } = await env.row('acme')
    await env.updateTenantRow('acme', { locator: '{"name":"tenant_beta"}' })
    process.factory.release('acme')
    expect(await getOutcome(read(process, 'acme'))).toBe('wrong_tenant')
    await env.updateTenantRow('acme', { locator })
    await env.time.advance(2 * MAX_AGE)
    expect(await getOutcome(read(process, 'acme'))).toBe('wrong_tenant')
    expect(await getOutcome(read(process, 'beta'))).toBe('succeeded')
    expect(await getOutcome(read(await env.start(), 'acme'))).toBe('succeeded')
    process.factory.release('acme')
    expect(await getOutcome(read(process, 'acme'))).toBe('succeeded')
  })

  it('are served in their next generation', async () => {
    const env = createTestEnv()
    const process = await env.start()
    for (const id of ['acme', 'beta']) await process.lifecycle.provision(id)
    const { locator } = await env.row('acme')
    await env.updateTenantRow('acme', { locator: '{"name":"tenant_beta"}' })
    process.factory.release('acme')
    expect(await getOutcome(read(process, 'acme'))).toBe('wrong_tenant')
    await env.updateTenantRow('acme', { locator })
    await process.lifecycle.deprovision('acme')
    await process.lifecycle.provision('acme')
    expect((await env.row('acme', 2)).state).toBe('active')
    expect(await getOutcome(read(process, 'acme'))).toBe('succeeded')
  })
})
