import { createGate, getOutcome } from '@tenantry/test-support'
import { describe, expect, it } from 'vitest'
import { createTestEnv, MAX_AGE, MIGRATIONS, RETENTION, read, write } from './test-env.ts'

describe('a tenant that is deleted and provisioned again', () => {
  it('gets a new generation, a new name and a new uid, and none of the old data', async () => {
    const env = createTestEnv()
    const process = await env.start()
    const { lifecycle } = process
    const first = await lifecycle.provision('acme')
    await write(process, 'acme', 'of the first')
    await lifecycle.deprovision('acme')
    const second = await lifecycle.provision('acme')
    expect(second).toMatchObject({ generation: 2, name: 'tenant_acme_g2', state: 'active' })
    expect(second.uid).not.toBe(first.uid)
    expect(await read(process, 'acme')).toEqual([])
    expect((await process.factory.open('acme')).generation).toBe(2)
    expect(await getOutcome(lifecycle.undelete('acme'))).toBe('succeeded')
    expect((await env.row('acme')).state).toBe('deleted')
  })

  it('rejects clients of the old generation in every process', async () => {
    const env = createTestEnv()
    const [one, other] = [await env.start(), await env.start()]
    await one.lifecycle.provision('acme')
    await write(one, 'acme', 'of the first')
    const adapters = await Promise.all([one.factory.getAdapters('acme'), other.factory.getAdapters('acme')])
    await one.lifecycle.deprovision('acme')
    await one.lifecycle.provision('acme')
    const insert = (index: number) =>
      getOutcome(
        adapters[index]?.db.insertInto('notes').values({ body: 'late' }).execute() ?? Promise.resolve(),
      )
    expect(await insert(0)).toBe('stale_tenant')
    // The other process learns of it at the latest when what it knows is too old.
    expect(['stale_tenant', 'tenant_suspended']).toContain(await insert(1))
    await env.time.advance(30_000)
    expect(await insert(1)).toBe('stale_tenant')
    expect(await read(one, 'acme')).toEqual([])
    expect(await read(other, 'acme')).toEqual([])
    expect(await env.service.rows('tenant_acme', 'SELECT body FROM notes')).toEqual([
      { body: 'of the first' },
    ])
  })

  it('rejects a job that began in the old generation', async () => {
    const env = createTestEnv()
    const [one, other] = [await env.start(), await env.start()]
    await one.lifecycle.provision('acme')
    const { generation } = await one.factory.open('acme')
    expect(await getOutcome(other.factory.open('acme', generation))).toBe('succeeded')
    await one.lifecycle.deprovision('acme')
    expect(await getOutcome(one.factory.open('acme', generation))).toBe('tenant_not_found')
    await one.lifecycle.provision('acme')
    expect(await getOutcome(one.factory.open('acme', generation))).toBe('tenant_not_found')
    await env.time.advance(30_000)
    expect(await getOutcome(other.factory.open('acme', generation))).toBe('tenant_not_found')
    expect(await getOutcome(other.factory.open('acme', 2))).toBe('succeeded')
  })

  it('is not changed by a late step of the old generation', async () => {
    const env = createTestEnv()
    const gate = createGate()
    const slow = await env.start({
      around: async (member, run) => {
        const value = await run()
        if (member === 'create tenant_acme') {
          await gate.pass()
        }
        return value
      },
    })
    const late = slow.lifecycle.provision('acme').catch((error: unknown) => error)
    await gate.reached
    await env.time.advance(60_000)
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    await lifecycle.deprovision('acme', { retention: 0 })
    const second = await lifecycle.provision('acme')
    gate.open()
    await late
    expect(await lifecycle.get('acme')).toEqual(second)
    expect([...env.service.databases.keys()]).toEqual(['tenant_acme_g2'])
  })

  it('is either restored or provisioned when both are requested concurrently', async () => {
    for (let turn = 0; turn < 12; turn++) {
      const env = createTestEnv()
      const [one, other] = [await env.start(), await env.start()]
      await one.lifecycle.provision('acme')
      await write(one, 'acme', 'kept')
      await one.lifecycle.deprovision('acme')
      // Every interleaving of their first steps: one begins so many turns of the queue after the other.
      const first = getOutcome(one.lifecycle.undelete('acme'))
      for (let wait = 0; wait < turn * 4; wait++) await Promise.resolve()
      const second = getOutcome(other.lifecycle.provision('acme'))
      await Promise.all([first, second])
      const rows = await env.db.selectFrom('tenantry_tenants').selectAll().execute()
      const live = rows.filter(({ state }) => state === 'active')
      expect(live).toHaveLength(1)
      if (rows.length === 1) expect(await read(one, 'acme')).toEqual(['kept'])
      else expect(rows.find(({ generation }) => Number(generation) === 1)?.superseded).toBe(1)
    }
  })

  it('can be provisioned after a process died between both steps', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    await lifecycle.deprovision('acme')
    await env.updateTenantRow('acme', { superseded: 1 })
    // Another process may be about to create the next generation.
    expect(await getOutcome(lifecycle.undelete('acme'))).toBe('conflict')
    expect(await getOutcome(lifecycle.suspend('acme'))).toBe('tenant_not_found')
    expect((await lifecycle.provision('acme')).generation).toBe(2)
  })

  it('keeps its new database when the old one is purged after its retention', async () => {
    const env = createTestEnv()
    const process = await env.start()
    const { lifecycle } = process
    await lifecycle.provision('acme')
    await lifecycle.deprovision('acme')
    await lifecycle.provision('acme')
    await write(process, 'acme', 'of the second')
    expect((await lifecycle.sweep()).purged).toEqual([])
    await env.time.advance(RETENTION)
    expect((await lifecycle.sweep()).purged).toEqual([{ tenantId: 'acme', generation: 1 }])
    expect([...env.service.databases.keys()]).toEqual(['tenant_acme_g2'])
    expect(await read(process, 'acme')).toEqual(['of the second'])
    expect((await lifecycle.list({ total: true })).total).toBe(1)
  })

  it('cannot be provisioned before its deletion has ended', async () => {
    const env = createTestEnv()
    const gate = createGate()
    const slow = await env.start({
      around: async (member, run) => {
        if (member.startsWith('closed')) {
          await gate.pass()
        }
        return run()
      },
    })
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    const deleting = slow.lifecycle.deprovision('acme', { retention: 0 })
    await gate.reached
    expect(await getOutcome(lifecycle.provision('acme'))).toBe('conflict')
    gate.open()
    expect((await deleting)?.state).toBe('purged')
    expect((await lifecycle.provision('acme')).generation).toBe(2)
  })

  it('completes a deletion without retention when the id is provisioned between its two halves', async () => {
    const env = createTestEnv()
    const rival = await env.start()
    await rival.lifecycle.provision('acme')
    let raced: Promise<unknown> | undefined
    const other = await env.start({
      wrap: (db) =>
        db.withPlugin({
          transformQuery: ({ node }) => node,
          async transformResult({ result }) {
            // Before the second half begins.
            const [row] = await env.db.selectFrom('tenantry_tenants').selectAll().execute()
            if (row?.state === 'deleted' && row.operation_id === null && raced === undefined) {
              raced = rival.lifecycle.provision('acme')
              await raced
            }
            return result
          },
        }),
    })
    expect(await getOutcome(other.lifecycle.deprovision('acme', { retention: 0 }))).toBe('succeeded')
    expect(raced).toBeDefined()
    await rival.lifecycle.sweep()
    expect((await rival.lifecycle.get('acme')).generation).toBe(2)
    expect([...env.service.databases.keys()]).toEqual(['tenant_acme_g2'])
  })
})

describe('undelete and purge', () => {
  it('restores all data by an undelete within the retention', async () => {
    for (const was of ['active', 'suspended'] as const) {
      const env = createTestEnv()
      const process = await env.start()
      const { lifecycle } = process
      await lifecycle.provision('acme', { metadata: { plan: 'pro' } })
      const texts = ['plain', '\u201cGröße\u201d 😀', 'x'.repeat(100_000)]
      for (const text of texts) await write(process, 'acme', text)
      if (was === 'suspended') await lifecycle.suspend('acme')
      const before = await lifecycle.get('acme')
      await lifecycle.deprovision('acme')
      expect(env.service.closed).toEqual(new Set(['tenant_acme']))
      await env.time.advance(RETENTION - 1)
      expect((await lifecycle.sweep()).purged).toEqual([])
      const after = await lifecycle.undelete('acme')
      expect(after.state).toBe(was)
      expect(after).toMatchObject({
        uid: before.uid,
        generation: 1,
        metadata: { plan: 'pro' },
        readyAt: before.readyAt,
      })
      expect([after.deletedAt, after.deletedFrom, after.purgeAfter]).toEqual([
        undefined,
        undefined,
        undefined,
      ])
      expect(env.service.closed.size).toBe(was === 'suspended' ? 1 : 0)
      if (was === 'suspended') await lifecycle.resume('acme')
      expect(await read(process, 'acme')).toEqual(texts)
    }
  })

  it('keeps the database closed after a failed undelete', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    await lifecycle.deprovision('acme')
    const failing = await env.start({
      around: async (member, run) => {
        if (member === 'batch') throw new Error('refused')
        return run()
      },
    })
    expect(await getOutcome(failing.lifecycle.undelete('acme'))).toBe('provider_rejected')
    expect((await lifecycle.get('acme')).state).toBe('deleted')
    expect(env.service.closed).toEqual(new Set(['tenant_acme']))
    expect((await lifecycle.undelete('acme')).state).toBe('active')
  })

  it('rejects an undelete of a tenant that was never complete', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    await lifecycle.deprovision('acme')
    await env.service.rows('tenant_acme', `UPDATE tenantry_identity SET state = 'provisioning' RETURNING 1`)
    expect(await getOutcome(lifecycle.undelete('acme'))).toBe('conflict')
    expect((await lifecycle.get('acme')).state).toBe('deleted')
  })

  it('keeps the database closed after a failed resume', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    await lifecycle.suspend('acme')
    const failing = await env.start({
      migrations: {
        '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)',
        '0002_bad': 'CREATE TABLE nonsense (',
      },
    })
    expect(await getOutcome(failing.lifecycle.resume('acme'))).toBe('migration_failed')
    expect((await lifecycle.get('acme')).state).toBe('suspended')
    expect(env.service.closed).toEqual(new Set(['tenant_acme']))
    expect((await lifecycle.resume('acme')).state).toBe('active')
  })

  it('rejects a tenant in every process after a partial migration, and serves it after one that was rolled back', async () => {
    for (const transaction of [true, false]) {
      const env = createTestEnv()
      const { factory, lifecycle } = await env.start()
      await lifecycle.provision('acme')
      await factory.getAdapters('acme')
      const failing = await env.start({
        migrations: { ...MIGRATIONS, '0002_bad': { sql: 'CREATE TABLE tags (id); NONSENSE', transaction } },
      })
      expect(await getOutcome(failing.lifecycle.migrate('acme'))).toBe('migration_failed')
      expect((await lifecycle.get('acme')).state).toBe(transaction ? 'active' : 'failed')
      await env.time.advance(MAX_AGE)
      expect(await getOutcome(factory.getAdapters('acme'))).toBe(
        transaction ? 'succeeded' : 'tenant_not_ready',
      )
    }
  })

  it("purges before the end of the retention only with the tenant's own uid", async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    const acme = await lifecycle.provision('acme')
    const beta = await lifecycle.provision('beta')
    for (const id of ['acme', 'beta']) await lifecycle.deprovision(id)
    expect(await getOutcome(lifecycle.purge('acme'))).toBe('conflict')
    expect(await getOutcome(lifecycle.purge('acme', { uid: beta.uid }))).toBe('conflict')
    expect(await getOutcome(lifecycle.purge('acme', { uid: '' }))).toBe('conflict')
    expect([...env.service.databases.keys()]).toEqual(['tenant_acme', 'tenant_beta'])
    expect((await lifecycle.purge('acme', { uid: acme.uid })).state).toBe('purged')
    expect([...env.service.databases.keys()]).toEqual(['tenant_beta'])
  })

  it('purges only the database that carries the stamp of the generation', async () => {
    const swaps: Record<string, { locator?: string; uid?: string; generation?: number; code: string }> = {
      "another tenant's locator": { locator: '{"name":"tenant_beta"}', code: 'wrong_tenant' },
      'another uid': { uid: 'another', code: 'stale_tenant' },
    }
    for (const [what, { code, ...change }] of Object.entries(swaps)) {
      const env = createTestEnv()
      const { lifecycle } = await env.start()
      for (const id of ['acme', 'beta']) await lifecycle.provision(id)
      await lifecycle.deprovision('acme')
      await env.updateTenantRow('acme', change)
      const { uid } = await lifecycle.get('acme')
      expect(await getOutcome(lifecycle.purge('acme', { uid })), what).toBe(code)
      expect([...env.service.databases.keys()], what).toEqual(['tenant_acme', 'tenant_beta'])
      expect(await lifecycle.get('acme'), what).toMatchObject({
        state: 'deleted',
        error: { code, step: 'drop' },
      })
      expect((await lifecycle.get('beta')).state).toBe('active')
      expect(env.service.closed.has('tenant_beta'), what).toBe(false)
      await env.time.advance(RETENTION)
      const { purged } = await lifecycle.sweep()
      expect(purged[0]?.error?.code, what).toBe(code)
      expect([...env.service.databases.keys()], what).toEqual(['tenant_acme', 'tenant_beta'])
    }
  })

  it('deprovisions only the database that carries the stamp of the generation', async () => {
    const env = createTestEnv()
    const process = await env.start()
    const { lifecycle } = process
    for (const id of ['acme', 'beta']) await lifecycle.provision(id)
    await env.updateTenantRow('acme', { locator: '{"name":"tenant_beta"}' })
    expect(await getOutcome(lifecycle.deprovision('acme'))).toBe('wrong_tenant')
    expect(env.service.closed.size).toBe(0)
    await write(process, 'beta', 'unharmed')
    expect(await read(process, 'beta')).toEqual(['unharmed'])
  })

  it('purges all other tenants when the purge of one fails', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    const stubborn = await env.start({
      around: async (member, run) => {
        if (/^drop tenant_bad/.test(member)) throw new Error('refused')
        return run()
      },
    })
    for (const id of ['bad-1', 'bad-2', 'good-1', 'good-2']) {
      await lifecycle.provision(id)
      await lifecycle.deprovision(id)
      await env.time.advance(1)
    }
    await env.time.advance(RETENTION)
    for (let sweep = 0; sweep < 3; sweep++) await stubborn.lifecycle.sweep({ limit: 2 })
    expect([...env.service.databases.keys()]).toEqual(['tenant_bad-1', 'tenant_bad-2'])
  })

  it('deletes immediately only with an explicit retention of 0', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    expect((await lifecycle.deprovision('acme', { retention: 0 }))?.state).toBe('purged')
    expect(env.service.databases.size).toBe(0)
    for (const retention of [-1, Number.NaN, Number.POSITIVE_INFINITY, '0' as unknown as number]) {
      expect(await getOutcome(lifecycle.deprovision('acme', { retention }))).toBe('config_invalid')
    }
  })
})
