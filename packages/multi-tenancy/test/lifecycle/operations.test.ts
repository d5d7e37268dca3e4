import { createQueryId, type Kysely, type OperationNode } from 'kysely'
import { describe, expect, it } from 'vitest'
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

  it('a runner whose lease is another’s by now neither ends nor fails the operation', async () => {
    for (const fails of [true, false]) {
      const world = createWorld()
      const slow = gate()
      const reached = gate()
      const stalled = await world.start({
        around: async (member, run) => {
          if (member === 'batch') {
            reached.open()
            await slow.promise
            if (fails) throw new Error('the connection was lost long ago')
          }
          return run()
        },
      })
      const first = stalled.lifecycle.provision('acme')
      await reached.promise
      await world.time.advance(LEASE)
      const healthy = gate()
      const inside = gate()
      const other = await world.start({
        around: async (member, run) => {
          if (member === 'batch') {
            inside.open()
            await healthy.promise
          }
          return run()
        },
      })
      const second = other.lifecycle.provision('acme')
      await inside.promise
      slow.open()
      // The first has nothing left to do but to wait for the second.
      await world.time.advance(1_000)
      const [operation] = await operationsOf(world)
      expect(operation, String(fails)).toEqual({ kind: 'provision', state: 'running', attempt: 2 })
      expect((await world.row('acme')).operation_id).not.toBeNull()
      healthy.open()
      expect((await first).state).toBe('active')
      expect((await second).state).toBe('active')
    }
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
