import { getOutcome } from '@tenantry/test-support'
import { describe, expect, it } from 'vitest'
import { createMemoryFactory } from '../../src/memory/index.ts'
import { createTestEnv, MIGRATIONS, RETENTION, type TestEnv } from './test-env.ts'

/** Creates a database of another application, with the name that the tenant's database would get. */
async function occupy({ service }: TestEnv, name: string): Promise<void> {
  const provider = service.provider()
  await provider.create(name, { signal: new AbortController().signal })
  const database = service.databases.get(name)
  await database?.schema.createTable('theirs').addColumn('body', 'text').execute()
  await database?.insertInto('theirs').values({ body: 'not ours' }).execute()
}

describe("a foreign database with a tenant's name", () => {
  it('is neither taken over nor dropped, and the tenant can be deleted and provisioned again', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await occupy(env, 'tenant_acme')
    env.service.calls.length = 0
    expect(await getOutcome(lifecycle.provision('acme'))).toBe('name_taken')
    expect(await lifecycle.get('acme')).toMatchObject({
      state: 'failed',
      error: { code: 'name_taken', step: 'stamp' },
    })
    const deleted = await lifecycle.deprovision('acme')
    expect(deleted?.state).toBe('deleted')
    await env.time.advance(RETENTION)
    expect((await lifecycle.sweep()).purged).toEqual([{ tenantId: 'acme', generation: 1 }])
    expect(env.service.calls.filter((call) => /^(drop|closed|open) /.test(call))).toEqual([])
    expect(await env.service.rows('tenant_acme', 'SELECT body FROM theirs')).toEqual([{ body: 'not ours' }])
    expect(await lifecycle.provision('acme')).toMatchObject({ generation: 2, state: 'active' })
  })

  it('is neither taken over nor dropped when it carries another stamp', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    // The other stamp has the same tenant id, and is from a catalog that was lost.
    await createMemoryFactory({ server: env.service.databases, migrations: MIGRATIONS }).provision('acme')
    const failed = await lifecycle.provision('acme').catch((error: unknown) => error)
    expect(failed).toMatchObject({ code: 'name_taken', step: 'stamp' })
    expect(String(failed)).toContain('adopt')
    await lifecycle.deprovision('acme', { retention: 0 })
    expect(env.service.databases.has('tenant_acme')).toBe(true)
    expect((await lifecycle.provision('acme')).generation).toBe(2)
  })

  it('is not dropped when the record of a ready tenant points to it', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    await occupy(env, 'theirs')
    await env.updateTenantRow('acme', { locator: '{"name":"theirs"}' })
    expect(await getOutcome(lifecycle.deprovision('acme', { retention: 0 }))).toBe('name_taken')
    expect(await lifecycle.get('acme')).toMatchObject({ state: 'failed', error: { step: 'markDeleted' } })
    expect(env.service.databases.has('theirs')).toBe(true)
    expect(env.service.closed.has('theirs')).toBe(false)
  })
})

describe('adopt', () => {
  it('records a database that was created without a catalog, unchanged', async () => {
    const env = createTestEnv()
    const plain = createMemoryFactory({ server: env.service.databases, migrations: MIGRATIONS })
    await plain.provision('acme')
    const { db } = await plain.getAdapters('acme')
    await db.insertInto('notes').values({ body: 'kept' }).execute()
    const process = await env.start()
    const record = await process.lifecycle.adopt('acme')
    expect(record).toMatchObject({ state: 'active', generation: 1, locator: { name: 'tenant_acme' } })
    const adapters = await process.factory.getAdapters('acme')
    expect(await adapters.db.selectFrom('notes').select('body').execute()).toEqual([{ body: 'kept' }])
    expect(await getOutcome(process.lifecycle.adopt('acme'))).toBe('conflict')
    expect(await getOutcome(process.lifecycle.provision('acme'))).toBe('succeeded')
    expect((await process.lifecycle.deprovision('acme', { retention: 0 }))?.state).toBe('purged')
  })

  it("replaces a provision that rejected the database, and rejects another tenant's database", async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await createMemoryFactory({ server: env.service.databases, migrations: MIGRATIONS }).provision('acme')
    await getOutcome(lifecycle.provision('acme'))
    expect((await lifecycle.adopt('acme')).state).toBe('active')

    await occupy(env, 'tenant_beta')
    expect(await getOutcome(lifecycle.adopt('beta'))).toBe('wrong_tenant')
    expect(await getOutcome(lifecycle.adopt('unknown'))).toBe('tenant_not_found')
    const acme = env.service.databases.get('tenant_acme')
    if (acme) env.service.databases.set('tenant_gamma', acme)
    expect(await getOutcome(lifecycle.adopt('gamma'))).toBe('wrong_tenant')
    await env.service.rows('tenant_acme', `UPDATE tenantry_identity SET state = 'provisioning' RETURNING 1`)
    await env.db.deleteFrom('tenantry_tenants').where('tenant_id', '=', 'acme').execute()
    expect(await getOutcome(lifecycle.adopt('acme'))).toBe('tenant_not_ready')
    expect((await lifecycle.list()).tenants).toEqual([])
  })

  it('writes one record for two concurrent calls', async () => {
    const env = createTestEnv()
    await createMemoryFactory({ server: env.service.databases, migrations: MIGRATIONS }).provision('acme')
    const [one, other] = [await env.start(), await env.start()]
    const results = await Promise.all([
      getOutcome(one.lifecycle.adopt('acme')),
      getOutcome(other.lifecycle.adopt('acme')),
    ])
    expect(results).toContain('succeeded')
    expect((await one.lifecycle.list({ total: true })).total).toBe(1)
  })
})
