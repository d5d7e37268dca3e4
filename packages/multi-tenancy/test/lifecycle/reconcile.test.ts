import { createGate, getOutcome } from '@tenantry/test-support'
import { describe, expect, it } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import type { FindingKind, ReconcileReport } from '../../src/types/lifecycle.ts'
import { createTestEnv, LEASE, RETENTION, type TestEnv } from './test-env.ts'
import { createService } from './test-service.ts'

const GRACE = 3_600_000
const ALL: FindingKind[] = ['orphan', 'leftover', 'missing', 'mismatch', 'stuck']

function shown({ findings }: ReconcileReport): string[] {
  return findings
    .map(({ kind, name, repairable }) => `${kind} ${name}${repairable ? '' : ' (not repairable)'}`)
    .sort()
}

async function make({ service }: TestEnv, name: string, table = true): Promise<void> {
  await service.provider().create(name, { signal: new AbortController().signal })
  if (table) await service.databases.get(name)?.schema.createTable('theirs').addColumn('x', 'text').execute()
}

/** A tenant that was purged, and whose database is still there: the service said otherwise. */
async function undead(env: TestEnv, id: string): Promise<void> {
  const { lifecycle } = await env.start({
    around: async (member, run) => (/^(drop|find) /.test(member) ? (undefined as never) : run()),
  })
  await lifecycle.provision(id)
  await lifecycle.deprovision(id, { retention: 0 })
}

describe('reconcile', () => {
  it('reports no finding for a consistent fleet with tenants in every state', async () => {
    const env = createTestEnv(createService({ pageSize: 2 }))
    const { lifecycle } = await env.start()
    for (const id of ['a', 'b', 'c', 'd', 'e']) await lifecycle.provision(id)
    await lifecycle.suspend('b')
    await lifecycle.deprovision('c')
    await lifecycle.deprovision('d', { retention: 0 })
    await lifecycle.deprovision('e')
    await lifecycle.provision('e')
    await make(env, 'other_app')
    for (let run = 0; run < 3; run++) {
      const report = await lifecycle.reconcile({ repair: ALL, stamps: true, grace: 0 })
      expect(shown(report)).toEqual([])
      // With both incarnations of `e`; `d` is purged.
      expect([report.tenants, report.databases]).toEqual([5, 5])
      await env.time.advance(GRACE)
    }
    expect(env.service.databases.size).toBe(6)
  })

  it('reports every kind of finding, and repairs those that are ours, old enough and confirmed', async () => {
    const env = createTestEnv()
    const process = await env.start()
    const { lifecycle } = process
    await make(env, 'tenant_foreign')
    await make(env, 'tenant_empty', false)
    await undead(env, 'undead')
    for (const id of ['well', 'missing', 'swapped', 'other']) await lifecycle.provision(id)
    env.service.databases.delete('tenant_missing')
    await env.updateTenantRow('swapped', { locator: '{"name":"tenant_other"}' })
    await lifecycle.provision('gone')
    await lifecycle.deprovision('gone', { retention: 0 })
    env.service.remains.push({ name: 'tenant_gone', locator: { name: 'tenant_gone' }, leftover: 'role' })
    env.service.remains.push({
      name: 'tenant_outsider',
      locator: { name: 'tenant_outsider' },
      leftover: 'user',
    })
    let dead = false
    const dying = await env.start({
      around: async (member, run) => {
        dead ||= member.startsWith('closed')
        return dead ? new Promise<never>(() => {}) : run()
      },
    })
    void dying.lifecycle.suspend('well')
    while (!dead) await env.time.advance(1)
    await env.time.advance(LEASE)

    const expectedFindings = [
      'leftover tenant_gone',
      'leftover tenant_outsider (not repairable)',
      'mismatch tenant_swapped (not repairable)',
      'missing tenant_missing',
      'orphan tenant_empty (not repairable)',
      'orphan tenant_foreign (not repairable)',
      'orphan tenant_undead',
      `stuck ${(await env.row('well')).operation_id}`,
    ]
    // A report alone changes nothing.
    const before = [...env.service.databases.keys()]
    expect(shown(await lifecycle.reconcile({ stamps: true }))).toEqual(expectedFindings)
    // Seen once: nothing is repaired, however old the clock says it is.
    const early = await lifecycle.reconcile({ stamps: true, repair: ALL })
    expect(early.findings.filter(({ repair, confirmed }) => repair !== undefined || confirmed)).toEqual([])
    await env.time.advance(GRACE - 1)
    const still = await lifecycle.reconcile({ stamps: true, repair: ALL })
    expect(still.findings.filter(({ repair }) => repair !== undefined)).toEqual([])
    await env.time.advance(1)
    // Only the listed kinds are repaired.
    await lifecycle.reconcile({ stamps: true, repair: [] })
    expect([...env.service.databases.keys()]).toEqual(before)
    const repaired = await lifecycle.reconcile({ stamps: true, repair: ALL })
    expect(
      Object.fromEntries(repaired.findings.map(({ kind, name, repair }) => [`${kind} ${name}`, repair])),
    ).toMatchObject({
      'missing tenant_missing': 'marked failed',
      'orphan tenant_undead': 'dropped',
      'orphan tenant_foreign': undefined,
      'orphan tenant_empty': undefined,
      'leftover tenant_gone': 'dropped',
      'leftover tenant_outsider': undefined,
      'mismatch tenant_swapped': undefined,
    })
    expect([...env.service.databases.keys()].sort()).toEqual(
      before.filter((name) => name !== 'tenant_undead').sort(),
    )
    expect((await lifecycle.get('well')).state).toBe('suspended')
    expect(await lifecycle.get('missing')).toMatchObject({
      state: 'failed',
      error: { code: 'tenant_not_found' },
    })
    expect(
      shown(await lifecycle.reconcile({ stamps: true })).filter((line) => /undead|gone|stuck/.test(line)),
    ).toEqual([])
  })

  it('reports no tenant that is created, deleted or changed during the run', async () => {
    for (const member of ['create', 'batch', 'closed', 'drop']) {
      const env = createTestEnv()
      const { lifecycle } = await env.start()
      for (const before of [true, false]) {
        const gate = createGate()
        const slow = await env.start({
          around: async (name, run) => {
            const stop = async () => {
              await gate.pass()
            }
            if (before && name.startsWith(member)) await stop()
            const value = await run()
            if (!before && name.startsWith(member)) await stop()
            return value
          },
        })
        const id = `acme-${before}`
        const running = (async () => {
          await slow.lifecycle.provision(id)
          await slow.lifecycle.deprovision(id, { retention: 0 })
        })()
        await gate.reached
        for (let run = 0; run < 3; run++) {
          const report = await lifecycle.reconcile({ repair: ALL, stamps: true, grace: 0 })
          expect(shown(report), `${before ? 'before' : 'after'} ${member}`).toEqual([])
          await env.time.advance(1_000)
        }
        gate.open()
        await running
      }
    }
  })

  it('reports neither a tenant that is created between its reads nor one that is purged', async () => {
    const env = createTestEnv(createService({ pageSize: 1 }))
    const rival = await env.start()
    for (const id of ['a', 'b', 'z']) await rival.lifecycle.provision(id)
    let pages = 0
    const process = await env.start({
      around: async (member, run) => {
        const page = await run()
        if (member.startsWith('list') && pages++ === 0) {
          await rival.lifecycle.provision('m')
          await rival.lifecycle.deprovision('z', { retention: 0 })
          await rival.lifecycle.suspend('a')
        }
        return page
      },
    })
    for (let run = 0; run < 2; run++) {
      expect(shown(await process.lifecycle.reconcile({ repair: ALL, stamps: true, grace: 0 }))).toEqual([])
      await env.time.advance(1_000)
    }
    expect(pages).toBeGreaterThan(2)
  })

  it('reports no finding and forgets none when the list fails midway', async () => {
    const env = createTestEnv(createService({ pageSize: 1 }))
    const healthy = await env.start()
    for (const id of ['a', 'b', 'c']) await healthy.lifecycle.provision(id)
    await make(env, 'tenant_foreign')
    const first = await healthy.lifecycle.reconcile()
    expect(shown(first)).toEqual(['orphan tenant_foreign (not repairable)'])
    let pages = 0
    const failing = await env.start({
      around: async (member, run) => {
        if (member.startsWith('list') && pages++ > 0) throw new TenancyError('provider_rejected', 'no more')
        return run()
      },
    })
    await env.time.advance(GRACE)
    expect(await getOutcome(failing.lifecycle.reconcile({ repair: ALL, grace: 0 }))).toBe('provider_rejected')
    const second = await healthy.lifecycle.reconcile()
    expect(second.findings.map(({ firstSeen }) => firstSeen)).toEqual(
      first.findings.map(({ firstSeen }) => firstSeen),
    )
    expect((await healthy.lifecycle.list()).tenants.map(({ state }) => state)).toEqual([
      'active',
      'active',
      'active',
    ])
  })

  it('confirms a finding again after it disappeared in between', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await make(env, 'tenant_foreign')
    const [first] = (await lifecycle.reconcile()).findings
    await env.time.advance(GRACE)
    const database = env.service.databases.get('tenant_foreign')
    env.service.databases.delete('tenant_foreign')
    expect(shown(await lifecycle.reconcile())).toEqual([])
    if (database) env.service.databases.set('tenant_foreign', database)
    const [again] = (await lifecycle.reconcile()).findings
    expect(again?.firstSeen).toBe((first?.firstSeen ?? 0) + GRACE)
    expect(again?.confirmed).toBe(false)
  })

  it('drops at most the given number of databases and reports the others', async () => {
    const env = createTestEnv()
    const process = await env.start()
    for (let index = 0; index < 12; index++) await undead(env, `undead-${index}`)
    await process.lifecycle.reconcile()
    await env.time.advance(GRACE)
    const { findings } = await process.lifecycle.reconcile({ repair: ['orphan'], maxDrops: 5 })
    expect(findings.filter(({ repair }) => repair === 'dropped')).toHaveLength(5)
    expect(
      findings.filter(({ repair }) => repair?.startsWith('left alone: this run has dropped 5 ')),
    ).toHaveLength(7)
    expect(env.service.databases.size).toBe(7)
    await process.lifecycle.reconcile({ repair: ['orphan'] })
    expect(env.service.databases.size).toBe(0)
  })

  it('drops no orphan whose stamp has changed since the list', async () => {
    const env = createTestEnv()
    const owner = await env.start()
    await undead(env, 'undead')
    await owner.lifecycle.reconcile()
    await env.time.advance(GRACE)
    let connects = 0
    const process = await env.start({
      around: async (member, run) => {
        if (member.startsWith('connect') && ++connects === 2) {
          await env.service.rows('tenant_undead', `UPDATE tenantry_identity SET uid = 'new' RETURNING 1`)
        }
        return run()
      },
    })
    const { findings } = await process.lifecycle.reconcile({ repair: ALL })
    expect(findings.map(({ repair }) => repair)).toEqual(['left alone: its stamp changed'])
    expect(env.service.databases.has('tenant_undead')).toBe(true)
  })

  it("never drops a copy of a tenant's database", async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    const database = env.service.databases.get('tenant_acme')
    if (database) env.service.databases.set('tenant_copy', database)
    await lifecycle.reconcile()
    await env.time.advance(GRACE)
    const report = await lifecycle.reconcile({ repair: ALL })
    expect(shown(report)).toEqual(['orphan tenant_copy (not repairable)'])
    expect([...env.service.databases.keys()]).toEqual(['tenant_acme', 'tenant_copy'])
  })

  it('confirms a missing database by a second read, during which its tenant may change', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    // It is missing from the list alone.
    const blind = await env.start({
      around: async (member, run) => (member.startsWith('list') ? ({ databases: [] } as never) : run()),
    })
    expect(shown(await blind.lifecycle.reconcile({ repair: ALL, grace: 0 }))).toEqual([])
    const database = env.service.databases.get('tenant_acme')
    env.service.databases.delete('tenant_acme')
    await lifecycle.reconcile()
    await env.time.advance(GRACE)
    const racing = await env.start({
      around: async (member, run) => {
        const value = await run()
        if (member.startsWith('find')) await lifecycle.update('acme', { touched: true })
        return value
      },
    })
    const { findings } = await racing.lifecycle.reconcile({ repair: ALL })
    expect(findings[0]?.repair).toBe('left alone: the record changed')
    if (database) env.service.databases.set('tenant_acme', database)
    expect((await lifecycle.get('acme')).state).toBe('active')
  })

  it('reports no finding for tenants in retention or after their purge', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    await lifecycle.deprovision('acme')
    await env.time.advance(RETENTION * 2)
    expect(shown(await lifecycle.reconcile({ repair: ALL, grace: 0 }))).toEqual([])
    expect(env.service.databases.size).toBe(1)
  })
})
