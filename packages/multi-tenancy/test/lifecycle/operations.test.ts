import { createGate, getOutcome } from '@tenantry/test-support'
import { createQueryId, type Kysely, type OperationNode } from 'kysely'
import { describe, expect, it } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { lostConnection } from '../catalog/faulty-kysely.ts'
import { createTestEnv, LEASE, type TestEnv } from './test-env.ts'

async function listOperations({ db }: TestEnv): Promise<{ kind: string; state: string; attempt: number }[]> {
  const rows = await db.selectFrom('tenantry_operations').selectAll().orderBy('created_at').execute()
  return rows.map(({ kind, state, attempt }) => ({ kind, state, attempt: Number(attempt) }))
}

describe('one operation at a time', () => {
  it('joins callers of the same operation, in every process', async () => {
    const env = createTestEnv()
    const processes = [await env.start(), await env.start(), await env.start()]
    const records = await Promise.all(
      Array.from({ length: 30 }, (_, index) => processes[index % 3]?.lifecycle.provision('acme')),
    )
    expect(new Set(records.map((record) => `${record?.uid} ${record?.state}`)).size).toBe(1)
    expect(await listOperations(env)).toEqual([{ kind: 'provision', state: 'succeeded', attempt: 1 }])
    expect(env.service.calls.filter((call) => call.startsWith('create'))).toEqual(['create tenant_acme'])
  })

  it("reports the operation's error to every caller that joined it", async () => {
    const env = createTestEnv()
    const gate = createGate()
    const failing = await env.start({
      around: async (member, run) => {
        if (!member.startsWith('create')) return run()
        await gate.pass()
        throw new Error('no more databases here')
      },
    })
    const first = failing.lifecycle.provision('acme').catch((error: unknown) => error)
    const joined = (await env.start()).lifecycle.provision('acme').catch((error: unknown) => error)
    gate.open()
    for (const error of await Promise.all([first, joined])) {
      expect(error).toMatchObject({ code: 'provider_rejected', step: 'create', tenantId: 'acme' })
      expect(String(error)).toContain('no more databases here')
    }
    expect(await listOperations(env)).toEqual([{ kind: 'provision', state: 'failed', attempt: 1 }])
  })

  it('rejects another operation while one runs, and begins it after the runner has died', async () => {
    const env = createTestEnv()
    const first = await env.start()
    await first.lifecycle.provision('acme')
    let dead = false
    const dying = await env.start({
      around: async (member, run) => {
        dead ||= member.startsWith('closed')
        return dead ? new Promise<never>(() => {}) : run()
      },
    })
    void dying.lifecycle.suspend('acme')
    const other = await env.start()
    while (!dead) await env.time.advance(1)
    expect(await getOutcome(other.lifecycle.deprovision('acme'))).toBe('conflict')
    await env.time.advance(LEASE)
    expect(await getOutcome(other.lifecycle.deprovision('acme'))).toBe('succeeded')
    expect(await listOperations(env)).toEqual([
      { kind: 'provision', state: 'succeeded', attempt: 1 },
      { kind: 'suspend', state: 'succeeded', attempt: 2 },
      { kind: 'deprovision', state: 'succeeded', attempt: 1 },
    ])
    expect((await other.lifecycle.get('acme')).deletedFrom).toBe('suspended')
  })

  it('completes an operation in the process that waits when its runner has died', async () => {
    const env = createTestEnv()
    let dead = false
    const dying = await env.start({
      around: async (member, run) => {
        dead ||= member === 'batch'
        return dead ? new Promise<never>(() => {}) : run()
      },
    })
    void dying.lifecycle.provision('acme')
    while (!dead) await env.time.advance(1)
    const record = await (await env.start()).lifecycle.provision('acme')
    expect(record.state).toBe('active')
    expect(await listOperations(env)).toEqual([{ kind: 'provision', state: 'succeeded', attempt: 2 }])
    expect(await record.operation).toBeUndefined()
  })

  for (const fails of [true, false]) {
    it(`stops a runner whose lease was taken over when its step ${fails ? 'fails' : 'succeeds'}`, async () => {
      const env = createTestEnv()
      const first = stalledIn('batch')
      const second = stalledIn('batch')
      const late: string[] = []
      const stalled = await env.start({
        around: async (member, run) => {
          const wasLate = first.left
          await first.pass(member)
          if (first.left && !wasLate && fails) throw new TenancyError('internal', 'Lost long ago')
          if (wasLate) late.push(member)
          return run()
        },
      })
      const slow = stalled.lifecycle.provision('acme')
      await first.reached
      await env.time.advance(LEASE)
      const other = await env.start({ around: async (member, run) => second.pass(member).then(run) })
      const fast = other.lifecycle.provision('acme')
      await second.reached
      first.leave()
      // It has nothing left to do but to wait for the other.
      await env.time.advance(1_000)
      expect(await listOperations(env)).toEqual([{ kind: 'provision', state: 'running', attempt: 2 }])
      expect((await env.row('acme')).operation_id).not.toBeNull()
      // The interrupted step only reads whether its work succeeded.
      expect(late.filter((member) => !member.startsWith('query SELECT'))).toEqual([])
      second.leave()
      expect((await slow).state).toBe('active')
      expect((await fast).state).toBe('active')
    })
  }

  it('does not let a runner end an operation after its lease was taken over', async () => {
    const env = createTestEnv()
    await (await env.start()).lifecycle.provision('acme')
    const first = stalledIn('closed tenant_acme')
    const second = stalledIn('closed tenant_acme')
    const begin = async (stall: Stall) => {
      const { lifecycle } = await env.start({ around: async (member, run) => stall.pass(member).then(run) })
      const running = lifecycle.suspend('acme')
      await stall.reached
      return running.then(({ state }) => state)
    }
    const slow = env.start({ around: async (member, run) => first.pass(member).then(run) })
    const suspended = (await slow).lifecycle.suspend('acme')
    await first.reached
    await env.time.advance(LEASE)
    const taken = begin(second)
    await second.reached
    first.leave()
    await env.time.advance(1_000)
    expect((await listOperations(env)).at(-1)).toEqual({ kind: 'suspend', state: 'running', attempt: 2 })
    second.leave()
    expect(await taken).toBe('suspended')
    expect((await suspended).state).toBe('suspended')
  })

  it('waits a limited time for a process with hooks to complete an operation', async () => {
    const env = createTestEnv()
    const hooks = { onProvision: () => new Promise<never>(() => {}) }
    const owner = await env.start({ hooks })
    void owner.lifecycle.provision('acme', { hooks: true })
    await env.time.advance(LEASE)
    const other = await env.start({ waitTimeout: 5_000 })
    other.catalog.disarm()
    const joined = getOutcome(other.lifecycle.provision('acme'))
    const refused = getOutcome(other.lifecycle.suspend('acme'))
    expect(await Promise.all([joined, refused])).toEqual(['conflict', 'conflict'])
    // Two who look every few hundred milliseconds, for 5 s.
    expect(other.catalog.count()).toBeLessThan(200)
    const own = await env.start({ hooks: { onProvision() {} } })
    expect((await own.lifecycle.provision('acme')).state).toBe('active')
  })

  for (const [step, member, next] of [
    ['that changes the record', 'create tenant_acme', 'connect tenant_acme'],
    ['that does not', 'batch', 'query UPDATE'],
  ] as const) {
    it(`stops a runner whose tenant was released in a step ${step}`, async () => {
      const env = createTestEnv()
      const stall = stalledIn(member)
      const { lifecycle } = await env.start({ around: async (name, run) => stall.pass(name).then(run) })
      const running = getOutcome(lifecycle.provision('acme'))
      await stall.reached
      await env.updateTenantRow('acme', { operation_id: null, state: 'failed', error: '{}' })
      env.service.calls.length = 0
      stall.leave()
      await running
      const begun = await env.db
        .selectFrom('tenantry_operation_steps')
        .selectAll()
        .orderBy('position')
        .execute()
      expect(begun.at(-1)?.name).toBe(member === 'batch' ? 'stamp' : 'create')
      if (member !== 'batch') expect(begun.at(-1)?.outcome).toBe('started')
      expect(env.service.calls.filter((call) => call.startsWith(next))).toEqual([])
    })
  }

  it('fails an operation whose tenant was released before the last step', async () => {
    const env = createTestEnv()
    const stall = stalledIn('batch')
    const dying = await env.start({ around: async (name, run) => stall.pass(name).then(run) })
    void dying.lifecycle.provision('acme')
    await stall.reached
    await env.updateTenantRow('acme', { operation_id: null, state: 'failed', error: null })
    await env.time.advance(LEASE)
    const { lifecycle } = await env.start()
    await lifecycle.sweep()
    // Once more: the history is completed a lease after the operation has begun.
    await env.time.advance(1)
    await lifecycle.sweep()
    expect(await listOperations(env)).toEqual([{ kind: 'provision', state: 'failed', attempt: 1 }])
  })

  it('reserves a request key for one operation permanently', async () => {
    const env = createTestEnv()
    const [one, other] = [await env.start(), await env.start()]
    const request = { key: 'order-1', hash: 'h1' }
    const records = await Promise.all([
      one.lifecycle.provision('acme', { request, exclusive: true }),
      other.lifecycle.provision('acme', { request, exclusive: true }),
    ])
    expect(new Set(records.map(({ uid }) => uid)).size).toBe(1)
    expect(await listOperations(env)).toHaveLength(1)
    await one.lifecycle.suspend('acme')
    // A much later repetition returns the earlier result, and does not run the operation again.
    expect((await other.lifecycle.provision('acme', { request, exclusive: true })).uid).toBe(records[0]?.uid)
    const again = { key: 'order-1', hash: 'h2' }
    expect(await getOutcome(one.lifecycle.provision('acme', { request: again }))).toBe('conflict')
    expect(await getOutcome(one.lifecycle.provision('beta', { request }))).toBe('conflict')
    expect(await getOutcome(one.lifecycle.deprovision('acme', { request }))).toBe('conflict')
    expect(await listOperations(env)).toHaveLength(2)
    expect((await one.lifecycle.get('acme')).state).toBe('suspended')
  })

  it('rejects a request key that a catalog cannot distinguish from others', async () => {
    const { lifecycle } = await createTestEnv().start()
    for (const key of ['', ' ', 'a ', ' a', 'x'.repeat(256)]) {
      const request = { key, hash: 'h' }
      expect(await getOutcome(lifecycle.provision('acme', { request })), key).toBe('invalid_request')
    }
    expect(
      await getOutcome(lifecycle.provision('acme', { request: { key: 'x'.repeat(255), hash: 'h' } })),
    ).toBe('succeeded')
  })

  it('returns the same failure for a repeated request key', async () => {
    const env = createTestEnv()
    const failing = await env.start({
      around: async (member, run) => {
        if (member.startsWith('create')) throw new Error('no')
        return run()
      },
    })
    const request = { key: 'order-1', hash: 'h1' }
    expect(await getOutcome(failing.lifecycle.provision('acme', { request }))).toBe('provider_rejected')
    const { lifecycle } = await env.start()
    expect(await getOutcome(lifecycle.provision('acme', { request }))).toBe('provider_rejected')
    expect(await getOutcome(lifecycle.provision('acme', { request: { key: 'order-2', hash: 'h1' } }))).toBe(
      'succeeded',
    )
  })

  it('ignores a late statement that would lock the tenant again', async () => {
    const env = createTestEnv()
    const taken: OperationNode[] = []
    const { lifecycle } = await env.start({ wrap: (db) => recordingUpdates(db, taken) })
    await lifecycle.provision('acme')
    taken.length = 0
    await lifecycle.suspend('acme')
    const late = taken[0]
    await lifecycle.resume('acme')
    const before = await env.row('acme')
    if (late) await replay(env, late)
    expect(await env.row('acme')).toEqual(before)
    expect(before.state).toBe('active')
  })

  it("ignores a late statement that would release a deleted tenant's id", async () => {
    const env = createTestEnv()
    const taken: OperationNode[] = []
    const { lifecycle } = await env.start()
    await lifecycle.provision('acme')
    await lifecycle.deprovision('acme')
    const slow = await env.start({ wrap: (db) => recordingUpdates(db, taken, true) })
    expect(await getOutcome(slow.lifecycle.provision('acme'))).toBe('provider_unavailable')
    await lifecycle.undelete('acme')
    await lifecycle.deprovision('acme')
    if (taken[0]) await replay(env, taken[0])
    expect(taken).not.toHaveLength(0)
    expect((await lifecycle.undelete('acme')).state).toBe('active')
  })

  it('repeats a request whose history a takeover wrote without its key', async () => {
    const env = createTestEnv()
    const { lifecycle } = await env.start()
    const request = { key: 'order-1', hash: 'h1' }
    const first = await lifecycle.provision('acme', { request, exclusive: true })
    // As after a crash between taking the tenant and writing the history.
    await env.db.updateTable('tenantry_operations').set({ request_key: null }).execute()
    const second = await lifecycle.provision('acme', { request, exclusive: true })
    expect(second.uid).toBe(first.uid)
    expect(await listOperations(env)).toHaveLength(1)
  })
})

interface Stall {
  /** Stands still where the first call of that name begins. */
  pass(member: string): Promise<void>
  readonly reached: Promise<void>
  leave(): void
  readonly left: boolean
}

function stalledIn(where: string): Stall {
  const gate = createGate()
  let left = false
  return {
    async pass(member) {
      if (member !== where || left) return
      await gate.pass()
    },
    reached: gate.reached,
    leave() {
      left = true
      gate.open()
    },
    get left() {
      return left
    },
  }
}

/** A Kysely that notes what it changes in the table of tenants, and may have none of it arrive. */
function recordingUpdates(db: Kysely<any>, taken: OperationNode[], lose = false): Kysely<any> {
  return db.withPlugin({
    transformQuery({ node }) {
      if (node.kind !== 'UpdateQueryNode' || !JSON.stringify(node).includes('tenantry_tenants')) return node
      taken.push(node)
      if (lose) throw lostConnection()
      return node
    },
    transformResult: async ({ result }) => result,
  })
}

async function replay({ db }: TestEnv, node: OperationNode): Promise<void> {
  const executor = db.getExecutor()
  await executor.executeQuery(executor.compileQuery(node as never, createQueryId()))
}
