import { describe, expect, it, vi } from 'vitest'
import { createCatalogDirectory } from '../../src/factory/locate-in-catalog.ts'
import { parseCacheOptions } from '../../src/factory/options.ts'
import type { TenantId } from '../../src/tenant-id.ts'
import type { LocatedDatabase } from '../../src/types/locate.ts'
import { asId, storesOf } from '../catalog/stores.ts'
import { createWorld, MAX_AGE, outcome, type Process, read, write } from './world.ts'

const STATE_TTL = 5_000

function served({ factory }: Process, id = 'acme'): Promise<string> {
  return outcome(async () => {
    const { db } = await factory.getAdapters(id)
    await db.selectFrom('notes').selectAll().execute()
  })
}

describe('states in the request path', () => {
  it('a suspension is seen at once here, and within stateMaxAge in another process, handles included', async () => {
    const world = createWorld()
    const [one, other] = [await world.start(), await world.start()]
    await one.lifecycle.provision('acme')
    const held = await other.factory.getAdapters('acme')
    // Without what the service does: only the state stands between.
    world.service.databases.get('tenant_acme')
    expect(await served(other)).toBe('done')
    await world.time.advance(1_000)
    await one.lifecycle.suspend('acme')
    world.service.closed.clear()
    expect(await served(one)).toBe('tenant_suspended')
    await world.time.advance(MAX_AGE - 1_000)
    expect(await outcome(held.db.selectFrom('notes').selectAll().execute())).toBe('tenant_suspended')
    expect(await served(other)).toBe('tenant_suspended')
    await one.lifecycle.resume('acme')
    expect(await served(one)).toBe('done')
    await world.time.advance(MAX_AGE)
    expect(await outcome(held.db.selectFrom('notes').selectAll().execute())).toBe('done')
    expect(await served(other)).toBe('done')
  })

  it('an opening that the service takes a moment to know everywhere is waited for', async () => {
    const world = createWorld()
    const { closed } = world.service
    const process = await world.start({
      async around(member, run) {
        const value = await run()
        if (member === 'open tenant_acme') {
          closed.add('tenant_acme')
          void world.time.advance(3_000).then(() => closed.delete('tenant_acme'))
        }
        return value
      },
    })
    const { lifecycle } = process
    await lifecycle.provision('acme')
    await lifecycle.suspend('acme')
    expect(await outcome(lifecycle.resume('acme'))).toBe('done')
    expect(await served(process)).toBe('done')
    await lifecycle.suspend('acme')
    expect(await outcome(lifecycle.deprovision('acme'))).toBe('done')
    expect(await outcome(lifecycle.undelete('acme'))).toBe('done')
    await lifecycle.deprovision('acme', { retention: 0 })
    expect(world.service.databases.has('tenant_acme')).toBe(false)
  })

  it('a busy tenant’s state is read again behind the requests’ backs, so that the bound is the short one', async () => {
    const world = createWorld()
    const [one, other] = [await world.start(), await world.start()]
    await one.lifecycle.provision('acme')
    expect(await served(other)).toBe('done')
    await one.lifecycle.suspend('acme')
    world.service.closed.clear()
    await world.time.advance(STATE_TTL)
    // This one still gets in, and has the state read.
    await served(other)
    await world.time.advance(1)
    expect(await served(other)).toBe('tenant_suspended')
  })

  it('each refusal has its code: being made, suspended, deleted, unknown', async () => {
    const world = createWorld()
    const process = await world.start()
    const failing = await world.start({
      around: async (member, run) => {
        if (member === 'batch') throw new Error('no')
        return run()
      },
    })
    await outcome(failing.lifecycle.provision('half'))
    await process.lifecycle.provision('acme')
    await process.lifecycle.deprovision('acme')
    expect(await served(process, 'half')).toBe('tenant_not_ready')
    expect(await served(process)).toBe('tenant_not_found')
    expect(await served(process, 'nobody')).toBe('tenant_not_found')
  })

  it('while the catalog is away a known tenant is served until stateMaxAge, then nobody', async () => {
    const world = createWorld()
    const process = await world.start()
    await process.lifecycle.provision('acme')
    const held = await process.factory.getAdapters('acme')
    expect(await served(process)).toBe('done')
    const since = world.time.now()
    process.catalog.arm(0, 'outage')
    expect(await served(process, 'beta')).not.toBe('done')
    while (world.time.now() - since < MAX_AGE - 100) {
      expect(await served(process)).toBe('done')
      await world.time.advance(50)
    }
    await world.time.advance(since + MAX_AGE - world.time.now())
    expect(await served(process)).toBe('provider_unavailable')
    expect(await outcome(held.db.selectFrom('notes').selectAll().execute())).toBe('provider_unavailable')
    process.catalog.disarm()
    expect(await served(process)).toBe('done')
    expect(await outcome(held.db.selectFrom('notes').selectAll().execute())).toBe('done')
  })

  it('an answer of the catalog that took its time is as old as the question', async () => {
    const world = createWorld()
    const one = await world.start()
    await one.lifecycle.provision('acme')
    let slow = false
    const other = await world.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          async transformResult({ result }) {
            if (slow) await world.time.advance(STATE_TTL - 1_000)
            return result
          },
        }),
    })
    slow = true
    const asked = world.time.now()
    const opening = other.factory.getAdapters('acme')
    await world.time.advance(10)
    await one.lifecycle.suspend('acme')
    world.service.closed.clear()
    await opening
    await world.time.advance(asked + MAX_AGE - world.time.now())
    expect(await served(other)).toBe('tenant_suspended')
  })

  it('a look-up that was under way when the tenant was suspended here does not bring it back', async () => {
    const world = createWorld()
    let slow = false
    const process = await world.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          async transformResult({ result }) {
            if (slow && 'rows' in result && result.rows.some((row) => row.state === 'active')) {
              slow = false
              await world.time.advance(100)
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
    world.service.closed.clear()
    await opening
    expect(await served(process)).toBe('tenant_suspended')
  })

  it('nor does a state that was being read again', async () => {
    const world = createWorld()
    let slow = false
    const process = await world.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          async transformResult({ result }) {
            if (slow) {
              slow = false
              await world.time.advance(100)
            }
            return result
          },
        }),
    })
    await process.lifecycle.provision('acme')
    expect(await served(process)).toBe('done')
    await world.time.advance(STATE_TTL)
    slow = true
    // It gets in, and its state is read; the answer is on its way.
    expect(await served(process)).toBe('done')
    expect(slow).toBe(false)
    await process.lifecycle.suspend('acme')
    world.service.closed.clear()
    await world.time.advance(200)
    expect(await served(process)).toBe('tenant_suspended')
  })

  it('a catalog that hangs makes nobody wait for longer than a request may', {
    timeout: 20_000,
  }, async () => {
    const world = createWorld()
    let hangs = false
    const process = await world.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          transformResult: ({ result }) => (hangs ? new Promise<never>(() => {}) : Promise.resolve(result)),
        }),
    })
    await process.lifecycle.provision('acme')
    const held = await process.factory.getAdapters('acme')
    hangs = true
    await world.time.advance(MAX_AGE)
    // The same in a hundredth of the time.
    const { timeout } = AbortSignal
    const patience = vi
      .spyOn(AbortSignal, 'timeout')
      .mockImplementation((ms) => timeout.call(AbortSignal, ms / 100))
    try {
      expect(await outcome(held.db.selectFrom('notes').selectAll().execute())).toBe('timeout')
      expect(patience).toHaveBeenCalledWith(10_000)
    } finally {
      patience.mockRestore()
    }
  })

  it('10,000 busy tenants cost the catalog a bounded number of queries a second', {
    timeout: 30_000,
  }, async () => {
    const world = createWorld()
    const process = await world.start({ cache: { locatorMax: 20_000, max: 20_000 } })
    await process.lifecycle.provision('acme')
    const template = await world.row('acme')
    const ids = Array.from({ length: 10_000 }, (_, index) => `t${index}`)
    for (let start = 0; start < ids.length; start += 500) {
      const rows = ids.slice(start, start + 500).map((id) => ({
        ...template, tenant_id: id, uid: `uid-${id}`, name: `tenant_${id}`, locator: `{"name":"tenant_${id}"}`,
      })) // biome-ignore format: one row
      await world.db.insertInto('tenantry_tenants').values(rows).execute()
    }
    // Known, as after a request of each.
    const { tenants } = storesOf(process.catalog.db, 'sqlite', world.time)
    const { locate, isCurrent: fresh } = createCatalogDirectory(
      tenants,
      world.time,
      parseCacheOptions({ locatorMax: 20_000 }),
      {},
    )
    const call = () => ({ signal: new AbortController().signal })
    const known: [TenantId, LocatedDatabase][] = []
    for (const id of ids) known.push([asId(id), await locate(asId(id), call())])
    process.catalog.disarm()
    for (let second = 0; second < 10; second++) {
      expect(known.every(([id, database]) => fresh?.(id, database))).toBe(true)
      await world.time.advance(1_000)
    }
    // One round of 10,000 each 5 s: in batches of many.
    expect(process.catalog.count() / 10).toBeLessThan(50)
  })
})

describe('two tenants’ locators, swapped in the catalog', () => {
  it('every read and write throws wrong_tenant, and no row of the other is returned', async () => {
    const world = createWorld()
    const [one, fresh] = [await world.start(), await world.start()]
    for (const id of ['acme', 'beta']) {
      await one.lifecycle.provision(id)
      await write(one, id, `secret of ${id}`)
    }
    const held = await one.factory.getAdapters('acme')
    const [acme, beta] = [await world.row('acme'), await world.row('beta')]
    await world.alter('acme', { locator: beta.locator })
    await world.alter('beta', { locator: acme.locator })
    // A process that had it open goes on with the right database until it learns of the swap.
    expect(await held.db.selectFrom('notes').select('body').execute()).toEqual([{ body: 'secret of acme' }])
    await world.time.advance(MAX_AGE)
    for (const process of [one, fresh]) {
      for (const id of ['acme', 'beta']) {
        expect(await outcome(read(process, id))).toBe('wrong_tenant')
        expect(await outcome(write(process, id, 'poison'))).toBe('wrong_tenant')
        expect(await outcome(process.lifecycle.migrate(id))).toBe('done')
      }
    }
    expect(await world.service.rows('tenant_acme', 'SELECT body FROM notes')).toEqual([
      { body: 'secret of acme' },
    ])
    expect(await world.service.rows('tenant_beta', 'SELECT body FROM notes')).toEqual([
      { body: 'secret of beta' },
    ])
    const newer = await world.start({
      migrations: {
        '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)',
        '0002_tags': 'CREATE TABLE tags (name TEXT)',
      },
    })
    expect(await outcome(newer.lifecycle.migrate('acme'))).toBe('wrong_tenant')
    expect(await outcome(one.lifecycle.deprovision('beta'))).toBe('wrong_tenant')
  })

  it('a tenant in quarantine is refused until it is released, also when the catalog is right again', async () => {
    const world = createWorld()
    const process = await world.start()
    for (const id of ['acme', 'beta']) await process.lifecycle.provision(id)
    const { locator } = await world.row('acme')
    await world.alter('acme', { locator: '{"name":"tenant_beta"}' })
    process.factory.release('acme')
    expect(await outcome(read(process, 'acme'))).toBe('wrong_tenant')
    await world.alter('acme', { locator })
    await world.time.advance(2 * MAX_AGE)
    expect(await outcome(read(process, 'acme'))).toBe('wrong_tenant')
    expect(await outcome(read(process, 'beta'))).toBe('done')
    expect(await outcome(read(await world.start(), 'acme'))).toBe('done')
    process.factory.release('acme')
    expect(await outcome(read(process, 'acme'))).toBe('done')
  })

  it('a quarantine is of one incarnation: the next is served', async () => {
    const world = createWorld()
    const process = await world.start()
    for (const id of ['acme', 'beta']) await process.lifecycle.provision(id)
    const { locator } = await world.row('acme')
    await world.alter('acme', { locator: '{"name":"tenant_beta"}' })
    process.factory.release('acme')
    expect(await outcome(read(process, 'acme'))).toBe('wrong_tenant')
    await world.alter('acme', { locator })
    await process.lifecycle.deprovision('acme')
    await process.lifecycle.provision('acme')
    expect((await world.row('acme', 2)).state).toBe('active')
    expect(await outcome(read(process, 'acme'))).toBe('done')
  })
})
