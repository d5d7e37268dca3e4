import type { Scheduler } from 'fast-check'
import { expect } from 'vitest'
import type { Lease } from '../../src/provider-kit/pool/lease.ts'
import { createFakeDriver, createFakePool, type FakeConnection, type FakePool, flush } from './harness.ts'

export interface ModelOptions {
  max: number
  maxPerKey: number
  maxUses: number
  retarget: boolean
  /** Every key can use every connection. */
  alike: boolean
  /** The driver always gets the time it takes, so the server never counts more than the pool. */
  hasNoTimeouts: boolean
  /** What each step of the driver does, in turns. */
  outcomes: readonly ('ok' | 'fail' | 'hang')[]
}

/** A pool, the fake server's and the holders' view of it, and what must be true at every moment. */
export interface Model {
  readonly pool: FakePool
  acquire(key: string, signal?: AbortSignal): void
  release(index: number, how: 'release' | 'destroy' | 'invalidate'): void
  drain(key: string, deadline: number): void
  close(deadline: number): void
  check(): void
  /** Runs everything to its end: leases given back, timers gone off, driver done. */
  finish(): Promise<void>
}

interface Held {
  key: string
  lease: Lease<FakeConnection>
  connection: FakeConnection
}

export function createModel(scheduler: Scheduler, options: ModelOptions): Model {
  const { max, maxPerKey, maxUses, hasNoTimeouts, alike, outcomes } = options
  const forever = 1e9
  const problems: string[] = []
  const heldLeases: Held[] = []
  const drains = new Set<{ key: string; at: number }>()
  let unsettled = 0
  let steps = 0

  const driver = createFakeDriver(async (step, key, connection) => {
    const outcome = outcomes[steps++ % outcomes.length]
    check()
    if (step === 'close' && !hasNoTimeouts && outcome === 'hang') return new Promise(() => {})
    await scheduler.schedule(Promise.resolve(), `${step} ${key} ${connection?.id}`)
    check()
    if (outcome === 'hang' && !hasNoTimeouts) return new Promise(() => {})
    if (outcome !== 'ok') throw new Error(`${step} failed`)
  })
  const closeConnection = driver.close
  const pool = createFakePool({
    driver: {
      ...driver,
      close(connection) {
        const holder = heldLeases.find((other) => other.connection === connection)
        if (!connection.open) problems.push(`${connection.id} closed twice`)
        if (holder !== undefined && !overdue(holder.key)) {
          problems.push(`${connection.id} closed in use`)
        }
        return closeConnection(connection)
      },
    },
    clean: driver.clean,
    ...(options.retarget && { retarget: driver.retarget }),
    ...(alike && { shareKey: () => 'any' }),
    max,
    maxPerKey,
    maxUses,
    maxWaiting: 4,
    queueTimeout: 200,
    openTimeout: hasNoTimeouts ? forever : 100,
    closeTimeout: hasNoTimeouts ? forever : 50,
    idleTimeout: 100,
    maxLifetime: 400,
  })

  /** What the holders and the server can see. */
  function check(): void {
    const { connections, leased, idle, waiting } = pool.stats()
    if (connections > max) problems.push(`${connections} connections`)
    if (leased + idle > connections) problems.push('more in use than there are')
    if (waiting < 0) problems.push('a negative queue')
    for (const key of ['a', 'b', 'c']) {
      const count = heldLeases.filter((holder) => holder.key === key && isOpen(holder)).length
      if (count > maxPerKey) problems.push(`${count} leases of ${key}`)
    }
    if (!hasNoTimeouts) return
    if (driver.count() > max) problems.push(`the server counts ${driver.count()}`)
    for (const key of alike ? [] : ['a', 'b', 'c']) {
      if (driver.count(key) > maxPerKey) problems.push(`the server counts ${driver.count(key)} of ${key}`)
    }
  }

  /** False once a deadline ended the lease. */
  function isOpen({ lease }: Held): boolean {
    try {
      return lease.connection !== undefined
    } catch {
      return false
    }
  }

  function countUnsettled(promise: Promise<unknown>): void {
    unsettled++
    const done = (): void => void unsettled--
    promise.then(done, done)
  }

  /** Whether a drain has waited for the key's leases to its deadline, and goes on. */
  function overdue(key: string): boolean {
    return [...drains].some(
      (drain) => (drain.key === key || drain.key === '') && drain.at <= pool.clock.now(),
    )
  }

  function watchDrain(key: string, deadline: number, work: Promise<void>): void {
    const drain = { key, at: pool.clock.now() + deadline }
    drains.add(drain)
    countUnsettled(work.finally(() => drains.delete(drain)))
  }

  async function receive(key: string, lease: Lease<FakeConnection>): Promise<void> {
    let connection: FakeConnection
    try {
      connection = lease.connection
    } catch {
      if (!overdue(key)) problems.push('a lease ended before it began')
      return
    }
    if (!alike && connection.key !== key) problems.push(`a connection of ${connection.key} leased to ${key}`)
    if (!connection.open) problems.push(`${connection.id} leased after it closed`)
    if (connection.dirty) problems.push(`${connection.id} leased dirty`)
    if (heldLeases.some((other) => other.connection === connection))
      problems.push(`${connection.id} leased twice`)
    connection.dirty = true
    heldLeases.push({ key, lease, connection })
    check()
  }

  const model: Model = {
    pool,
    check() {
      check()
      expect(problems).toEqual([])
    },
    acquire(key, signal) {
      countUnsettled(pool.acquire(key, key, { signal }).then((lease) => receive(key, lease)))
    },
    release(index, how) {
      const [holder] = heldLeases.splice(heldLeases.length === 0 ? 0 : index % heldLeases.length, 1)
      if (holder === undefined) return
      if (how === 'invalidate') pool.invalidate(holder.connection)
      if (how === 'destroy') holder.lease.destroy()
      // A second end, or one after a deadline, must not matter.
      holder.lease.release()
      holder.lease.release()
      holder.lease.destroy()
    },
    drain(key, deadline) {
      watchDrain(key, deadline, pool.drain(key, { deadline }))
    },
    close(deadline) {
      watchDrain('', deadline, pool.close({ deadline }))
    },
    async finish() {
      // No lease is released, so the deadlines must end them.
      model.close(10)
      const busy = (): boolean => unsettled > 0 || scheduler.count() > 0 || pool.clock.foreground() > 0
      for (let round = 0; round < 200 && busy(); round++) {
        if (scheduler.count() > 0) await scheduler.waitNext(1)
        await flush()
        pool.clock.advance(10)
        await flush()
        model.check()
      }
      expect(unsettled, 'promises that never settled').toBe(0)
      expect(pool.stats()).toMatchObject({ connections: 0, leased: 0, idle: 0, waiting: 0 })
      expect([pool.clock.foreground(), pool.clock.background()]).toEqual([0, 0])
      const open = driver.connections.filter((connection) => connection.open)
      expect(open, 'connections never closed').toEqual([])
    },
  }
  return model
}
