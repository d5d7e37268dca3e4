import { describe, expect, test } from 'vitest'
import { createLease } from '../../src/provider-kit/pool/lease.ts'
import { createLeasePool } from '../../src/provider-kit/pool/lease-pool.ts'
import { createFakeDriver, createFakePool, deferred, flush, state } from './harness.ts'

describe('a lease', () => {
  test('ends once, by whichever comes first', () => {
    for (const first of ['release', 'destroy'] as const) {
      const ends: string[] = []
      const lease = createLease(
        {},
        { release: () => ends.push('release'), destroy: () => ends.push('destroy') },
      )
      lease[first]()
      lease.release()
      lease.destroy()
      expect(ends).toEqual([first])
    }
  })

  test('is of its key, and its connection serves the key again once released', async () => {
    const pool = createFakePool()
    const first = await pool.acquire('acme', 'acme')
    const { connection } = first
    first.release()
    const second = await pool.acquire('acme', 'acme')
    expect(second.connection).toBe(connection)
    expect(pool.driver.log).toEqual(['open acme 1'])
  })

  test('gives its connection back once, however often it is released or destroyed', async () => {
    const pool = createFakePool()
    const lease = await pool.acquire('acme', 'acme')
    lease.release()
    lease.release()
    expect(pool.stats()).toMatchObject({ connections: 1, idle: 1 })
    lease.destroy()
    const [one, two] = await Promise.all([pool.acquire('acme', 'acme'), pool.acquire('acme', 'acme')])
    lease.release()
    lease.destroy()
    expect(one.connection).not.toBe(two.connection)
    expect(pool.stats()).toMatchObject({ connections: 2, leased: 2, idle: 0 })
    expect(pool.driver.log).toEqual(['open acme 1', 'open acme 2'])
  })

  test('hands out no connection after its end', async () => {
    const pool = createFakePool()
    const lease = await pool.acquire('acme', 'acme')
    lease.release()
    expect(() => lease.connection).toThrow(expect.objectContaining({ code: 'closed' }))
  })

  test('that is destroyed ends its connection and frees its place', async () => {
    const pool = createFakePool({ max: 1 })
    const lease = await pool.acquire('acme', 'acme')
    const waiting = pool.acquire('bolt', 'bolt')
    lease.destroy()
    expect((await waiting).connection.key).toBe('bolt')
    expect(pool.driver.log).toEqual(['open acme 1', 'close acme 1', 'open bolt 2'])
  })

  test('of the most recently used connection leaves the others to expire', async () => {
    const pool = createFakePool()
    const one = await pool.acquire('acme', 'acme')
    const two = await pool.acquire('acme', 'acme')
    one.release()
    two.release()
    expect((await pool.acquire('acme', 'acme')).connection.id).toBe(2)
  })
})

describe('the caps', () => {
  test('a key at its cap waits while another key is served', async () => {
    const pool = createFakePool({ max: 3, maxPerKey: 1 })
    const heldLease = await pool.acquire('acme', 'acme')
    const waiting = pool.acquire('acme', 'acme')
    await pool.acquire('bolt', 'bolt')
    expect(await state(waiting)).toBe('pending')
    heldLease.release()
    expect((await waiting).connection.id).toBe(1)
  })

  test('a connection still opening counts', async () => {
    const gate = deferred()
    const pool = createFakePool({ max: 1, driver: createFakeDriver(() => gate.promise) })
    const first = pool.acquire('acme', 'acme')
    void pool.acquire('bolt', 'bolt').catch(() => {})
    await flush()
    expect(pool.driver.log).toEqual(['open acme 1'])
    gate.resolve()
    expect((await first).connection.key).toBe('acme')
  })

  test('a connection still closing counts, for its key too', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step) => (step === 'close' ? gate.promise : undefined))
    const pool = createFakePool({ max: 2, maxPerKey: 1, driver })
    const lease = await pool.acquire('acme', 'acme')
    lease.destroy()
    const waiting = pool.acquire('acme', 'acme')
    expect(await state(waiting)).toBe('pending')
    expect(pool.stats()).toMatchObject({ connections: 1, waiting: 1 })
    gate.resolve()
    expect((await waiting).connection.id).toBe(2)
  })

  test('a connection being retargeted counts for both keys', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step) => (step === 'retarget' ? gate.promise : undefined))
    const pool = createFakePool({ max: 2, maxPerKey: 1, driver, retarget: driver.retarget })
    const acme = await pool.acquire('acme', 'acme')
    const heldLease = await pool.acquire('held', 'held')
    acme.release()
    const bolt = pool.acquire('bolt', 'bolt')
    heldLease.destroy()
    await flush()
    const again = pool.acquire('acme', 'acme')
    expect(await state(again)).toBe('pending')
    gate.resolve()
    expect((await bolt).connection.id).toBe(1)
    expect((await again).connection.id).toBe(3)
  })
})

describe('at the global cap', () => {
  test('the least recently used idle connection of another key gives way', async () => {
    const pool = createFakePool({ max: 3 })
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((key) => pool.acquire(key, key)))
    b?.release()
    a?.release()
    c?.release()
    await pool.acquire('d', 'd')
    expect(pool.driver.log.slice(3)).toEqual(['close b 2', 'open d 4'])
  })

  test('nothing in use gives way', async () => {
    const pool = createFakePool({ max: 1 })
    await pool.acquire('a', 'a')
    expect(await state(pool.acquire('b', 'b'))).toBe('pending')
    expect(pool.driver.log).toEqual(['open a 1'])
  })

  test('an idle connection is retargeted where the driver can', async () => {
    const driver = createFakeDriver()
    const pool = createFakePool({ max: 1, driver, retarget: driver.retarget })
    const a = await pool.acquire('a', 'a')
    a.release()
    const b = await pool.acquire('b', 'b')
    expect(b.connection).toMatchObject({ id: 1, key: 'b' })
    b.release()
    expect((await pool.acquire('b', 'b')).connection.id).toBe(1)
  })

  test('a connection that cannot be retargeted is replaced', async () => {
    const driver = createFakeDriver((step) => {
      if (step === 'retarget') throw new Error('access denied')
    })
    const pool = createFakePool({ max: 1, driver, retarget: driver.retarget })
    const a = await pool.acquire('a', 'a')
    a.release()
    expect((await pool.acquire('b', 'b')).connection).toMatchObject({ id: 2, key: 'b' })
    expect(driver.log.slice(-2)).toEqual(['close a 1', 'open b 2'])
    expect(pool.reported).toEqual(['retarget: access denied'])
  })

  test('waiting keys are served in turns, however long one line is', async () => {
    const pool = createFakePool({ max: 1 })
    const order: string[] = []
    const heldLease = await pool.acquire('busy', 'busy')
    const all = ['busy', 'busy', 'busy', 'quiet', 'small'].map((key) =>
      pool.use(key, key, async () => void order.push(key)),
    )
    heldLease.release()
    await Promise.all(all)
    expect(order).toEqual(['busy', 'quiet', 'small', 'busy', 'busy'])
  })
})

describe('age', () => {
  test('an idle connection is closed after its idle time, by a timer that keeps no process alive', async () => {
    const pool = createFakePool({ idleTimeout: 100 })
    const lease = await pool.acquire('a', 'a')
    lease.release()
    expect([pool.clock.foreground(), pool.clock.background()]).toEqual([0, 1])
    pool.clock.advance(99)
    expect(pool.stats().idle).toBe(1)
    pool.clock.advance(1)
    await flush()
    expect(pool.stats().connections).toBe(0)
    expect(pool.clock.background()).toBe(0)
  })

  test('the real idle timer is unreferenced', async () => {
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const pool = createLeasePool({ open: async () => ({}), close: async () => {} })
    const lease = await pool.acquire('a', 'a')
    lease.release()
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout')).toHaveLength(before)
    await pool.close()
  })

  test('an expired connection is not leased though its timer is late', async () => {
    const pool = createFakePool({ idleTimeout: 100, setTimer: () => () => {} })
    const lease = await pool.acquire('a', 'a')
    lease.release()
    pool.clock.advance(100)
    expect((await pool.acquire('a', 'a')).connection.id).toBe(2)
  })

  test('a connection past its lifetime is closed on release, never while leased', async () => {
    const pool = createFakePool({ maxLifetime: 1_000, random: () => 0.5 })
    const one = await pool.acquire('a', 'a')
    pool.clock.advance(2_000)
    await flush()
    expect(one.connection.open).toBe(true)
    one.release()
    await flush()
    expect(pool.driver.log).toEqual(['open a 1', 'close a 1'])
  })

  test('a lifetime is shortened by up to a tenth at random', async () => {
    const pool = createFakePool({ maxLifetime: 1_000, random: () => 0.5 })
    const lease = await pool.acquire('a', 'a')
    lease.release()
    pool.clock.advance(949)
    expect(pool.stats().idle).toBe(1)
    pool.clock.advance(1)
    expect(pool.stats().idle).toBe(0)
  })

  test('a connection serves maxUses leases', async () => {
    const pool = createFakePool({ maxUses: 2 })
    for (let lease = 0; lease < 5; lease++) await pool.use('a', 'a', async () => {})
    expect(pool.driver.connections.map(({ open }) => open)).toEqual([false, false, true])
  })
})

test('a set-up mistake names the option', () => {
  for (const [name, value] of Object.entries({
    max: 0,
    maxPerKey: 1.5,
    queueTimeout: Number.NaN,
    maxUses: -1,
  })) {
    expect(() => createFakePool({ [name]: value })).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining(name) }),
    )
  }
})

describe('connections with a share key', () => {
  const shareKey = (): string => 'any'

  test('serve the next caller of any key, and count for a key only while it uses them', async () => {
    const pool = createFakePool({ max: 2, maxPerKey: 1, shareKey })
    const acme = await pool.acquire('acme', 'acme')
    const again = pool.acquire('acme', 'acme')
    expect(await state(again)).toBe('pending')
    const bolt = await pool.acquire('bolt', 'bolt')
    bolt.release()
    // There is an idle one, and it is not for a key at its cap.
    expect(await state(again)).toBe('pending')
    acme.release()
    expect((await again).connection.id).toBe(1)
    expect((await pool.acquire('cog', 'cog')).connection.id).toBe(2)
    expect(pool.driver.log).toEqual(['open acme 1', 'open bolt 2'])
  })

  test('drain by key: what others have goes on, and no idle one is waited for', async () => {
    const pool = createFakePool({ max: 2, shareKey })
    const [acme, bolt] = [await pool.acquire('acme', 'acme'), await pool.acquire('bolt', 'bolt')]
    const draining = pool.drain('acme')
    expect(await state(draining)).toBe('pending')
    await expect(pool.acquire('acme', 'acme')).rejects.toMatchObject({ code: 'tenant_not_ready' })
    acme.release()
    await draining
    bolt.release()
    expect(pool.stats()).toMatchObject({ connections: 1, idle: 1 })
  })

  test('are evicted for another share key, as connections of a key are', async () => {
    const pool = createFakePool({ max: 1, shareKey: (target) => (target === 'admin' ? 'admin' : 'any') })
    const acme = await pool.acquire('acme', 'acme')
    acme.release()
    await pool.acquire('', 'admin')
    expect(pool.driver.log).toEqual(['open acme 1', 'close acme 1', 'open admin 2'])
  })

  test('go to the next waiter in turn, with the same or another share key', async () => {
    const pool = createFakePool({
      max: 1,
      maxPerKey: 1,
      shareKey: (target) => (target === 'admin' ? 'admin' : 'any'),
    })
    const acme = await pool.acquire('acme', 'acme')
    const admin = pool.acquire('', 'admin')
    const bolt = pool.acquire('bolt', 'bolt')
    acme.release()
    const heldLease = await admin
    expect(await state(bolt)).toBe('pending')
    heldLease.release()
    expect((await bolt).connection.id).toBe(3)
    expect(pool.stats()).toMatchObject({ connections: 1, leased: 1, waiting: 0 })
  })
})

describe('a connection that is being cleaned', () => {
  test('is waited for, where another would have to be opened', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step) => (step === 'clean' ? gate.promise : undefined))
    const pool = createFakePool({ driver, clean: driver.clean })
    const lease = await pool.acquire('acme', 'acme')
    lease.release()
    const next = pool.acquire('acme', 'acme')
    const other = await pool.acquire('bolt', 'bolt')
    expect([await state(next), other.connection.id]).toEqual(['pending', 2])
    gate.resolve()
    expect((await next).connection.id).toBe(1)
  })

  test('is not waited for much longer than opening takes', async () => {
    const driver = createFakeDriver((step) => (step === 'clean' ? new Promise(() => {}) : undefined))
    const pool = createFakePool({ driver, clean: driver.clean })
    const lease = await pool.acquire('acme', 'acme')
    lease.release()
    const next = pool.acquire('acme', 'acme')
    expect(await state(next)).toBe('pending')
    pool.clock.advance(20)
    expect((await next).connection.id).toBe(2)
  })
})
