import { createQueryId, type Kysely, type OperationNode } from 'kysely'
import { describe, expect, it } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { lostConnection } from '../catalog/faults.ts'
import { gate } from '../factory/world.ts'
import { createWorld, LEASE, outcome, type World } from './world.ts'

async function operationsOf({ db }: World): Promise<{ kind: string; state: string; attempt: number }[]> {
  const rows = await db.selectFrom('tenantry_operations').selectAll().orderBy('created_at').execute()
  return rows.map(({ kind, state, attempt }) => ({ kind, state, attempt: Number(attempt) }))
}

describe('one operation at a time', () => {
  it('callers of the same operation join it, in this process and in others', async () => {
    const world = createWorld()
    const processes = [await world.start(), await world.start(), await world.start()]
    const records = await Promise.all(
      Array.from({ length: 30 }, (_, index) => processes[index % 3]?.lifecycle.provision('acme')),
    )
    expect(new Set(records.map((record) => `${record?.uid} ${record?.state}`)).size).toBe(1)
    expect(await operationsOf(world)).toEqual([{ kind: 'provision', state: 'succeeded', attempt: 1 }])
    expect(world.service.calls.filter((call) => call.startsWith('create'))).toEqual(['create tenant_acme'])
  })

  it('who joins gets the error the operation ended with', async () => {
    const world = createWorld()
    const held = gate()
    const failing = await world.start({
      around: async (member, run) => {
        if (!member.startsWith('create')) return run()
        await held.promise
        throw new Error('no more databases here')
      },
    })
    const first = failing.lifecycle.provision('acme').catch((error: unknown) => error)
    const joined = (await world.start()).lifecycle.provision('acme').catch((error: unknown) => error)
    held.open()
    for (const error of await Promise.all([first, joined])) {
      expect(error).toMatchObject({ code: 'provider_rejected', step: 'create', tenantId: 'acme' })
      expect(String(error)).toContain('no more databases here')
    }
    expect(await operationsOf(world)).toEqual([{ kind: 'provision', state: 'failed', attempt: 1 }])
  })

  it('another operation is refused while one runs, and begun when its runner died', async () => {
    const world = createWorld()
    const first = await world.start()
    await first.lifecycle.provision('acme')
    let dead = false
    const dying = await world.start({
      around: async (member, run) => {
        dead ||= member.startsWith('closed')
        return dead ? new Promise<never>(() => {}) : run()
      },
    })
    void dying.lifecycle.suspend('acme')
    const other = await world.start()
    while (!dead) await world.time.advance(1)
    expect(await outcome(other.lifecycle.deprovision('acme'))).toBe('conflict')
    await world.time.advance(LEASE)
    expect(await outcome(other.lifecycle.deprovision('acme'))).toBe('done')
    expect(await operationsOf(world)).toEqual([
      { kind: 'provision', state: 'succeeded', attempt: 1 },
      { kind: 'suspend', state: 'succeeded', attempt: 2 },
      { kind: 'deprovision', state: 'succeeded', attempt: 1 },
    ])
    expect((await other.lifecycle.get('acme')).deletedFrom).toBe('suspended')
  })

  it('whoever waits for an operation whose runner died finishes it', async () => {
    const world = createWorld()
    let dead = false
    const dying = await world.start({
      around: async (member, run) => {
        dead ||= member === 'batch'
        return dead ? new Promise<never>(() => {}) : run()
      },
    })
    void dying.lifecycle.provision('acme')
    while (!dead) await world.time.advance(1)
    const record = await (await world.start()).lifecycle.provision('acme')
    expect(record.state).toBe('active')
    expect(await operationsOf(world)).toEqual([{ kind: 'provision', state: 'succeeded', attempt: 2 }])
    expect(await record.operation).toBeUndefined()
  })

  for (const fails of [true, false]) {
    it(`a runner whose lease is another’s by now does nothing more, when its step ${fails ? 'fails' : 'is done'}`, async () => {
      const world = createWorld()
      const first = stalledIn('batch')
      const second = stalledIn('batch')
      const late: string[] = []
      const stalled = await world.start({
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
      await world.time.advance(LEASE)
      const other = await world.start({ around: async (member, run) => second.pass(member).then(run) })
      const fast = other.lifecycle.provision('acme')
      await second.reached
      first.leave()
      // It has nothing left to do but to wait for the other.
      await world.time.advance(1_000)
      expect(await operationsOf(world)).toEqual([{ kind: 'provision', state: 'running', attempt: 2 }])
      expect((await world.row('acme')).operation_id).not.toBeNull()
      // The step it was in looks whether it worked.
      expect(late.filter((member) => !member.startsWith('query SELECT'))).toEqual([])
      second.leave()
      expect((await slow).state).toBe('active')
      expect((await fast).state).toBe('active')
    })
  }

  it('a runner whose lease is another’s by now does not end the operation either', async () => {
    const world = createWorld()
    await (await world.start()).lifecycle.provision('acme')
    const first = stalledIn('closed tenant_acme')
    const second = stalledIn('closed tenant_acme')
    const begin = async (stall: Stall) => {
      const { lifecycle } = await world.start({ around: async (member, run) => stall.pass(member).then(run) })
      const running = lifecycle.suspend('acme')
      await stall.reached
      return running.then(({ state }) => state)
    }
    const slow = world.start({ around: async (member, run) => first.pass(member).then(run) })
    const suspended = (await slow).lifecycle.suspend('acme')
    await first.reached
    await world.time.advance(LEASE)
    const taken = begin(second)
    await second.reached
    first.leave()
    await world.time.advance(1_000)
    expect((await operationsOf(world)).at(-1)).toEqual({ kind: 'suspend', state: 'running', attempt: 2 })
    second.leave()
    expect(await taken).toBe('suspended')
    expect((await suspended).state).toBe('suspended')
  })

  it('an operation that only a process with hooks can finish is waited for, not without end, nor without pause', async () => {
    const world = createWorld()
    const hooks = { onProvision: () => new Promise<never>(() => {}) }
    const owner = await world.start({ hooks })
    void owner.lifecycle.provision('acme', { hooks: true })
    await world.time.advance(LEASE)
    const other = await world.start({ waitTimeout: 5_000 })
    other.catalog.disarm()
    const joined = outcome(other.lifecycle.provision('acme'))
    const refused = outcome(other.lifecycle.suspend('acme'))
    expect(await Promise.all([joined, refused])).toEqual(['conflict', 'conflict'])
    // Two who look every few hundred milliseconds, for 5 s.
    expect(other.catalog.count()).toBeLessThan(200)
    const own = await world.start({ hooks: { onProvision() {} } })
    expect((await own.lifecycle.provision('acme')).state).toBe('active')
  })

  for (const [step, member, next] of [
    ['that changes the record', 'create tenant_acme', 'connect tenant_acme'],
    ['that does not', 'batch', 'query UPDATE'],
  ] as const) {
    it(`a runner whose tenant was let go in a step ${step} stops`, async () => {
      const world = createWorld()
      const stall = stalledIn(member)
      const { lifecycle } = await world.start({ around: async (name, run) => stall.pass(name).then(run) })
      const running = outcome(lifecycle.provision('acme'))
      await stall.reached
      await world.alter('acme', { operation_id: null, state: 'failed', error: '{}' })
      world.service.calls.length = 0
      stall.leave()
      await running
      const begun = await world.db
        .selectFrom('tenantry_operation_steps')
        .selectAll()
        .orderBy('position')
        .execute()
      expect(begun.at(-1)?.name).toBe(member === 'batch' ? 'stamp' : 'create')
      if (member !== 'batch') expect(begun.at(-1)?.outcome).toBe('started')
      expect(world.service.calls.filter((call) => call.startsWith(next))).toEqual([])
    })
  }

  it('an operation whose tenant was let go before its last step was done has failed', async () => {
    const world = createWorld()
    const stall = stalledIn('batch')
    const dying = await world.start({ around: async (name, run) => stall.pass(name).then(run) })
    void dying.lifecycle.provision('acme')
    await stall.reached
    await world.alter('acme', { operation_id: null, state: 'failed', error: null })
    await world.time.advance(LEASE)
    const { finished } = await (await world.start()).lifecycle.sweep()
    expect(finished).toMatchObject([{ kind: 'provision', error: { code: 'internal', step: 'stamp' } }])
    expect(await operationsOf(world)).toEqual([{ kind: 'provision', state: 'failed', attempt: 2 }])
  })

  it('a request key names one operation for ever', async () => {
    const world = createWorld()
    const [one, other] = [await world.start(), await world.start()]
    const request = { key: 'order-1', hash: 'h1' }
    const made = await Promise.all([
      one.lifecycle.provision('acme', { request, exclusive: true }),
      other.lifecycle.provision('acme', { request, exclusive: true }),
    ])
    expect(new Set(made.map(({ uid }) => uid)).size).toBe(1)
    expect(await operationsOf(world)).toHaveLength(1)
    await one.lifecycle.suspend('acme')
    // Again, much later: what it came to, not done anew.
    expect((await other.lifecycle.provision('acme', { request, exclusive: true })).uid).toBe(made[0]?.uid)
    const again = { key: 'order-1', hash: 'h2' }
    expect(await outcome(one.lifecycle.provision('acme', { request: again }))).toBe('conflict')
    expect(await outcome(one.lifecycle.provision('beta', { request }))).toBe('conflict')
    expect(await outcome(one.lifecycle.deprovision('acme', { request }))).toBe('conflict')
    expect(await operationsOf(world)).toHaveLength(2)
    expect((await one.lifecycle.get('acme')).state).toBe('suspended')
  })

  it('a request key that no catalog could tell from others is refused', async () => {
    const { lifecycle } = await createWorld().start()
    for (const key of ['', ' ', 'a ', ' a', 'x'.repeat(256)]) {
      const request = { key, hash: 'h' }
      expect(await outcome(lifecycle.provision('acme', { request })), key).toBe('invalid_request')
    }
    expect(await outcome(lifecycle.provision('acme', { request: { key: 'x'.repeat(255), hash: 'h' } }))).toBe(
      'done',
    )
  })

  it('a request whose operation failed answers the failure again', async () => {
    const world = createWorld()
    const failing = await world.start({
      around: async (member, run) => {
        if (member.startsWith('create')) throw new Error('no')
        return run()
      },
    })
    const request = { key: 'order-1', hash: 'h1' }
    expect(await outcome(failing.lifecycle.provision('acme', { request }))).toBe('provider_rejected')
    const { lifecycle } = await world.start()
    expect(await outcome(lifecycle.provision('acme', { request }))).toBe('provider_rejected')
    expect(await outcome(lifecycle.provision('acme', { request: { key: 'order-2', hash: 'h1' } }))).toBe(
      'done',
    )
  })

  it('a statement that arrives late, when all is over, does not take the tenant again', async () => {
    const world = createWorld()
    const taken: OperationNode[] = []
    const { lifecycle } = await world.start({ wrap: (db) => recordingUpdates(db, taken) })
    await lifecycle.provision('acme')
    taken.length = 0
    await lifecycle.suspend('acme')
    const late = taken[0]
    await lifecycle.resume('acme')
    const before = await world.row('acme')
    if (late) await replay(world, late)
    expect(await world.row('acme')).toEqual(before)
    expect(before.state).toBe('active')
  })

  it('a statement that arrives late does not give a deleted tenant’s place away', async () => {
    const world = createWorld()
    const taken: OperationNode[] = []
    const { lifecycle } = await world.start()
    await lifecycle.provision('acme')
    await lifecycle.deprovision('acme')
    const slow = await world.start({ wrap: (db) => recordingUpdates(db, taken, true) })
    expect(await outcome(slow.lifecycle.provision('acme'))).toBe('provider_unavailable')
    await lifecycle.undelete('acme')
    await lifecycle.deprovision('acme')
    if (taken[0]) await replay(world, taken[0])
    expect(taken).not.toHaveLength(0)
    expect((await lifecycle.undelete('acme')).state).toBe('active')
  })

  it('a tenant that a settled operation still holds is let go', async () => {
    const world = createWorld()
    const { lifecycle } = await world.start({ waitTimeout: 2_000 })
    await lifecycle.provision('acme')
    const { last_operation_id } = await world.row('acme')
    await world.alter('acme', { operation_id: last_operation_id })
    expect(await outcome(lifecycle.suspend('acme'))).toBe('done')
    expect((await lifecycle.get('acme')).operation).toBeUndefined()
    const { last_operation_id: suspension } = await world.row('acme')
    await world.alter('acme', { operation_id: suspension })
    await world.time.advance(2 * LEASE)
    expect(await outcome(lifecycle.suspend('acme'))).toBe('done')
    expect((await lifecycle.get('acme')).operation).toBeUndefined()
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
  const reached = gate()
  const held = gate()
  let left = false
  return {
    async pass(member) {
      if (member !== where || left) return
      reached.open()
      await held.promise
    },
    reached: reached.promise,
    leave() {
      left = true
      held.open()
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

async function replay({ db }: World, node: OperationNode): Promise<void> {
  const executor = db.getExecutor()
  await executor.executeQuery(executor.compileQuery(node as never, createQueryId()))
}
