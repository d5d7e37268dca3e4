import { createGate } from '@tenantry/test-support'
import { describe, expect, test } from 'vitest'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createMemoryProvider, createMemoryServer, type MemoryServer } from '../../src/memory/index.ts'

const coded = (code: string): object => expect.objectContaining({ code })

/** Swaps the databases of two tenants without the factory's knowledge. */
function swap(server: MemoryServer, one: string, two: string): void {
  const [first, second] = [server.get(one), server.get(two)]
  if (first === undefined || second === undefined) throw new Error('both databases must be there')
  server.set(one, second)
  server.set(two, first)
}

async function twoTenants(): Promise<MemoryServer> {
  const server = createMemoryServer()
  const factory = defineFactory(createMemoryProvider(server))
  await factory.provision('acme')
  await factory.provision('bolt')
  return server
}

describe('the identity stamp', () => {
  test('rejects a swapped database, and the tenant until it is released', async () => {
    const server = await twoTenants()
    const factory = defineFactory(createMemoryProvider(server))
    swap(server, 'tenant_acme', 'tenant_bolt')
    await expect(factory.getAdapters('acme')).rejects.toEqual(coded('wrong_tenant'))
    swap(server, 'tenant_acme', 'tenant_bolt')
    await expect(factory.getAdapters('acme')).rejects.toEqual(coded('wrong_tenant'))
    factory.release('acme')
    await expect(factory.getAdapters('acme')).resolves.toBeDefined()
  })

  test('names no other tenant in its error', async () => {
    const server = await twoTenants()
    swap(server, 'tenant_acme', 'tenant_bolt')
    const error = await defineFactory(createMemoryProvider(server)).getAdapters('acme').catch(String)
    expect(error).not.toContain('bolt')
  })

  test("keeps deprovision from deleting another tenant's database", async () => {
    const server = await twoTenants()
    const factory = defineFactory(createMemoryProvider(server))
    swap(server, 'tenant_acme', 'tenant_bolt')
    await expect(factory.deprovision('acme')).rejects.toEqual(coded('wrong_tenant'))
    expect(server.size).toBe(2)
  })

  test('lets a recreated database be opened again', async () => {
    const server = createMemoryServer()
    const here = defineFactory(createMemoryProvider(server), { cache: { max: 0 } })
    const elsewhere = defineFactory(createMemoryProvider(server))
    await here.provision('acme')
    await here.getAdapters('acme')
    await elsewhere.deprovision('acme')
    await elsewhere.provision('acme')
    await expect(here.getAdapters('acme')).resolves.toBeDefined()
  })

  test('is read again by the next request after a client has lost its database', async () => {
    const server = createMemoryServer()
    const memory = createMemoryProvider(server)
    let lost = (): void => expect.unreachable()
    const here = defineFactory({
      ...memory,
      connect: (target, options) => {
        lost = target.onDatabaseGone ?? lost
        return memory.connect(target, options)
      },
    })
    const elsewhere = defineFactory(createMemoryProvider(server))
    await here.provision('acme')
    const before = await here.getAdapters('acme')
    await elsewhere.deprovision('acme')
    await elsewhere.provision('acme')
    expect(await here.getAdapters('acme')).toBe(before)
    lost()
    const after = await here.getAdapters('acme')
    expect(after).not.toBe(before)
    await after.db.schema.createTable('notes').addColumn('id', 'integer').execute()
  })

  test('is read again after a provision, which clears the cache of the earlier generation', async () => {
    const server = createMemoryServer()
    const here = defineFactory(createMemoryProvider(server))
    const elsewhere = defineFactory(createMemoryProvider(server))
    await here.provision('acme')
    const before = await here.getAdapters('acme')
    await elsewhere.deprovision('acme')
    await here.provision('acme')
    expect(await here.getAdapters('acme')).not.toBe(before)
  })

  test('is required for a database with tables, and written to an empty database', async () => {
    const server = createMemoryServer()
    const factory = defineFactory(createMemoryProvider(server))
    await createMemoryProvider(server).create('tenant_theirs', { signal: AbortSignal.timeout(1_000) })
    await server.get('tenant_theirs')?.schema.createTable('precious').addColumn('id', 'integer').execute()
    await expect(factory.provision('theirs')).rejects.toEqual(coded('name_taken'))
    await expect(factory.deprovision('theirs')).rejects.toEqual(coded('name_taken'))
    expect(server.has('tenant_theirs')).toBe(true)
    await createMemoryProvider(server).create('tenant_empty', { signal: AbortSignal.timeout(1_000) })
    await factory.provision('empty')
    await expect(factory.getAdapters('empty')).resolves.toBeDefined()
  })
})

describe('a tenant that is not ready', () => {
  test('is rejected while its seed runs, and served afterwards', async () => {
    const seeding = createGate()
    const factory = defineFactory(createMemoryProvider(), {
      seed: async () => {
        await seeding.pass()
      },
    })
    const provisioned = factory.provision('acme')
    await seeding.reached
    await expect(factory.getAdapters('acme')).rejects.toEqual(coded('tenant_not_ready'))
    seeding.open()
    await provisioned
    await expect(factory.getAdapters('acme')).resolves.toBeDefined()
  })

  test('is rejected after its seed failed, until a provision succeeds', async () => {
    let fail = true
    const factory = defineFactory(createMemoryProvider(), {
      seed: async () => {
        if (fail) throw new Error('no seed')
      },
    })
    await expect(factory.provision('acme')).rejects.toMatchObject({ step: 'seed', tenantId: 'acme' })
    await expect(factory.getAdapters('acme')).rejects.toEqual(coded('tenant_not_ready'))
    fail = false
    await factory.provision('acme')
    await expect(factory.getAdapters('acme')).resolves.toBeDefined()
  })

  test('serializes provision and deprovision of one tenant', async () => {
    const seeding = createGate()
    const server = createMemoryServer()
    const factory = defineFactory(createMemoryProvider(server), {
      seed: async () => {
        await seeding.pass()
      },
    })
    const elsewhere = defineFactory(createMemoryProvider(server))
    const provisioned = factory.provision('acme')
    await seeding.reached
    const deprovisioned = factory.deprovision('acme')
    await expect(factory.provision('acme')).rejects.toEqual(coded('conflict'))
    seeding.open()
    await Promise.all([provisioned, deprovisioned])
    expect(server.size).toBe(0)
    await expect(elsewhere.getAdapters('acme')).rejects.toEqual(coded('tenant_not_found'))
  })
})
