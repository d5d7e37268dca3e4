import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { createFakeDriver, createFakePool, deferred, flush, state } from './harness.ts'

describe('an acquirer who waits', () => {
  test('is refused after the queue timeout, with a hint when to come back', async () => {
    const pool = createFakePool({ max: 1, queueTimeout: 2_000 })
    await pool.acquire('a', 'a')
    const waiting = pool.acquire('a', 'a')
    pool.clock.advance(1_999)
    expect(await state(waiting)).toBe('pending')
    pool.clock.advance(1)
    await expect(waiting).rejects.toMatchObject({ code: 'pool_exhausted', retryAfter: 2 })
    expect(pool.stats().waiting).toBe(0)
  })

  test('leaves when its signal aborts, and no timer or place behind', async () => {
    const pool = createFakePool({ max: 1 })
    const heldLease = await pool.acquire('a', 'a')
    const caller = new AbortController()
    const waiting = pool.acquire('b', 'b', { signal: caller.signal })
    const reason = new Error('request gone')
    caller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    expect([pool.stats().waiting, pool.clock.foreground()]).toEqual([0, 0])
    heldLease.release()
    expect(pool.driver.log).toEqual(['open a 1'])
    await expect(pool.acquire('b', 'b', { signal: caller.signal })).rejects.toBe(reason)
  })

  test('leaves no listener on a signal that lives on', async () => {
    const pool = createFakePool({ max: 1, queueTimeout: 10 })
    const { signal } = new AbortController()
    const heldLease = await pool.acquire('a', 'a', { signal })
    const refused = pool.acquire('b', 'b', { signal })
    pool.clock.advance(10)
    await expect(refused).rejects.toThrow()
    const waiting = pool.acquire('b', 'b', { signal })
    heldLease.release()
    await waiting
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('gets a connection that is released while another caller is served', async () => {
    const driver = createFakeDriver((step, key) => {
      if (step === 'open' && key === 'b') heldLease.release()
    })
    const pool = createFakePool({ max: 2, maxPerKey: 1, driver })
    const heldLease = await pool.acquire('a', 'a')
    const waiting = pool.acquire('a', 'a')
    await pool.acquire('b', 'b')
    expect((await waiting).connection.id).toBe(1)
  })

  test('is served before every later caller, also one that comes at that moment', async () => {
    const order: string[] = []
    const driver = createFakeDriver((step, key) => {
      if (step !== 'open' || key !== 'b') return
      heldLease.release()
      void pool.use('a', 'a', async () => void order.push('later'))
    })
    const pool = createFakePool({ max: 2, maxPerKey: 1, driver })
    const heldLease = await pool.acquire('a', 'a')
    const waiting = pool.use('a', 'a', async () => void order.push('first'))
    await pool.acquire('b', 'b')
    await waiting
    await flush()
    expect(order).toEqual(['first', 'later'])
  })

  test('is refused immediately when the queue of its key is full, which costs no other key its place', async () => {
    const pool = createFakePool({ max: 1, maxWaiting: 1 })
    const heldLease = await pool.acquire('a', 'a')
    const first = pool.acquire('a', 'a')
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({
      code: 'pool_exhausted',
      message: expect.stringContaining('1 caller already waits for a connection (maxWaiting: 1)'),
    })
    const other = pool.acquire('b', 'b')
    heldLease.release()
    const lease = await first
    lease.release()
    expect((await other).connection.key).toBe('b')
  })

  test('is one of 10,000 before its key is refused', async () => {
    const pool = createFakePool({ max: 1, queueTimeout: 60_000 })
    const heldLease = await pool.acquire('a', 'a')
    let served = 0
    const waiting = Array.from({ length: 10_000 }, () => pool.use('a', 'a', async () => void served++))
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({ code: 'pool_exhausted' })
    heldLease.release()
    await Promise.all(waiting)
    expect(served).toBe(10_000)
  })

  test('gets an error that names the time it waited, and the callers that still wait', async () => {
    const pool = createFakePool({ max: 2, queueTimeout: 5_000 })
    await Promise.all([pool.acquire('a', 'a'), pool.acquire('a', 'a')])
    const first = pool.acquire('a', 'a')
    pool.clock.advance(1)
    const second = pool.acquire('a', 'a')
    pool.clock.advance(4_999)
    await expect(first).rejects.toMatchObject({
      code: 'pool_exhausted',
      detail:
        'No database connection became free within 5000 ms (queueTimeout): 2 connections are in use, and 1 other caller ' +
        'waits. Release connections sooner, or raise the connection limits',
    })
    pool.clock.advance(1)
    await expect(second).rejects.toMatchObject({ code: 'pool_exhausted' })
  })

  test('that is refused learns when the callers before it will have been served, not the queue timeout', async () => {
    const pool = createFakePool({ max: 1, maxWaiting: 4, queueTimeout: 60_000 })
    let lease = await pool.acquire('a', 'a')
    const waiting = Array.from({ length: 4 }, () => pool.acquire('a', 'a'))
    // Two are served in four seconds, two new ones take their places: four wait, at two seconds each.
    for (const next of waiting.slice(0, 2)) {
      pool.clock.advance(2_000)
      lease.release()
      lease = await next
      void pool.acquire('a', 'a').catch(() => {})
    }
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({ code: 'pool_exhausted', retryAfter: 8 })
    expect(pool.stats().waiting).toBe(4)
  })

  test('that is refused where nothing is served learns a minute at most', async () => {
    const pool = createFakePool({ max: 1, maxWaiting: 4, queueTimeout: 600_000 })
    await pool.acquire('a', 'a')
    const waiting = Array.from({ length: 4 }, () => pool.acquire('a', 'a').catch(() => {}))
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({ retryAfter: 1 })
    pool.clock.advance(30_000)
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({ retryAfter: 60 })
    expect(waiting).toHaveLength(4)
  })

  test('does not time out in the queue once its connection is opening', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step, key) =>
      step === 'open' && key === 'b' ? gate.promise : undefined,
    )
    const pool = createFakePool({ max: 1, queueTimeout: 10, driver })
    const heldLease = await pool.acquire('a', 'a')
    const waiting = pool.acquire('b', 'b')
    heldLease.release()
    pool.clock.advance(100)
    gate.resolve()
    expect((await waiting).connection.key).toBe('b')
    expect(pool.clock.foreground()).toBe(0)
  })
})

describe('opening', () => {
  test('that fails rejects its acquirer only, and the next one tries again', async () => {
    let tries = 0
    const driver = createFakeDriver(() => {
      if (++tries < 3) throw new Error(`refused ${tries}`)
    })
    const pool = createFakePool({ max: 1, driver })
    const results = await Promise.allSettled([1, 2, 3].map(() => pool.acquire('a', 'a')))
    expect(
      results.map((result) => (result.status === 'rejected' ? result.reason.message : 'leased')),
    ).toEqual(['refused 1', 'refused 2', 'leased'])
    expect(pool.stats()).toMatchObject({ connections: 1, leased: 1, errors: 0 })
  })

  test('that outlives its acquirer serves the next one', async () => {
    const gate = deferred()
    const pool = createFakePool({ max: 1, driver: createFakeDriver(() => gate.promise) })
    const caller = new AbortController()
    const gone = pool.acquire('a', 'a', { signal: caller.signal })
    const next = pool.acquire('a', 'a')
    caller.abort()
    await expect(gone).rejects.toThrow()
    gate.resolve()
    expect((await next).connection.id).toBe(1)
  })

  test('that outlives its acquirer is kept idle when no caller waits', async () => {
    const gate = deferred()
    const pool = createFakePool({ driver: createFakeDriver(() => gate.promise) })
    const caller = new AbortController()
    const gone = pool.acquire('a', 'a', { signal: caller.signal })
    caller.abort()
    await expect(gone).rejects.toThrow()
    gate.resolve()
    await flush()
    expect(pool.stats()).toMatchObject({ connections: 1, idle: 1 })
  })

  test('that takes too long is aborted, and counts until the driver gave up', async () => {
    const driver = createFakeDriver(
      (_step, _key, _connection, signal) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => setImmediate(() => reject(new Error('given up'))))
        }),
    )
    const pool = createFakePool({ openTimeout: 100, driver })
    const slow = pool.acquire('a', 'a')
    pool.clock.advance(100)
    expect(pool.stats().connections).toBe(1)
    await expect(slow).rejects.toMatchObject({ code: 'timeout' })
    await flush()
    expect(pool.stats().connections).toBe(0)
    expect(pool.reported).toEqual(['open: given up'])
  })

  test('that succeeds in spite of its abort is closed', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step) => (step === 'open' ? gate.promise : undefined))
    const pool = createFakePool({ openTimeout: 100, driver })
    const slow = pool.acquire('a', 'a')
    pool.clock.advance(100)
    gate.resolve()
    await expect(slow).rejects.toMatchObject({ code: 'timeout' })
    await flush()
    expect(driver.log).toEqual(['open a 1', 'close a 1'])
  })

  test('that ignores its abort is forgotten in time; the connection it brings after all is closed', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step) => (step === 'open' ? gate.promise : undefined))
    const pool = createFakePool({ openTimeout: 100, closeTimeout: 50, driver })
    const slow = pool.acquire('a', 'a')
    pool.clock.advance(150)
    await expect(slow).rejects.toMatchObject({ code: 'timeout' })
    await flush()
    expect(pool.stats().connections).toBe(0)
    gate.resolve()
    await flush()
    expect(driver.log).toEqual(['open a 1', 'close a 1'])
  })

  test('that hangs in a retarget ends that connection', async () => {
    const driver = createFakeDriver((step) => (step === 'retarget' ? deferred().promise : undefined))
    const pool = createFakePool({
      max: 1,
      openTimeout: 100,
      closeTimeout: 50,
      driver,
      retarget: driver.retarget,
    })
    const lease = await pool.acquire('a', 'a')
    lease.release()
    const slow = pool.acquire('b', 'b')
    pool.clock.advance(150)
    await expect(slow).rejects.toMatchObject({ code: 'timeout' })
    await flush()
    expect(driver.log.at(-1)).toBe('close a 1')
    expect(pool.stats().connections).toBe(0)
  })
})

describe('a connection comes back only clean', () => {
  const outcomes = {
    'says it is not': () => false,
    'says nothing': () => undefined as unknown as boolean,
    throws: () => {
      throw new Error('in a transaction')
    },
    rejects: async () => {
      throw new Error('in a transaction')
    },
    'says so late that it is not': async () => false,
  }
  for (const [name, clean] of Object.entries(outcomes)) {
    test(`else it is destroyed: clean ${name}`, async () => {
      const pool = createFakePool({ clean })
      await pool.use('a', 'a', async () => {})
      await flush()
      expect(pool.driver.log).toEqual(['open a 1', 'close a 1'])
      expect((await pool.acquire('a', 'a')).connection.id).toBe(2)
    })
  }

  test('and no caller gets it before', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step) => (step === 'clean' ? gate.promise : undefined))
    const pool = createFakePool({ max: 1, driver, clean: driver.clean })
    const lease = await pool.acquire('a', 'a')
    lease.release()
    const next = pool.acquire('a', 'a')
    expect(await state(next)).toBe('pending')
    gate.resolve()
    expect((await next).connection.id).toBe(1)
  })

  test('and cleaning that hangs destroys it', async () => {
    const driver = createFakeDriver((step) => (step === 'clean' ? deferred().promise : undefined))
    const pool = createFakePool({ max: 1, closeTimeout: 50, driver, clean: driver.clean })
    const lease = await pool.acquire('a', 'a')
    lease.release()
    const next = pool.acquire('a', 'a')
    pool.clock.advance(50)
    expect((await next).connection.id).toBe(2)
    expect(pool.stats().errors).toBe(1)
  })
})

describe('use', () => {
  test('destroys the connection when its work throws, unless isSuspect() returns false for the error', async () => {
    const harmless = new Error('duplicate key')
    const pool = createFakePool({ isSuspect: (error) => error !== harmless })
    const failing = (error: Error): Promise<void> => pool.use('a', 'a', () => Promise.reject(error))
    await expect(failing(harmless)).rejects.toBe(harmless)
    expect(pool.stats().idle).toBe(1)
    await expect(failing(new Error('socket hang up'))).rejects.toThrow('socket hang up')
    await flush()
    expect(pool.stats().connections).toBe(0)
  })

  test('destroys the connection for every error without isSuspect()', async () => {
    const pool = createFakePool()
    await expect(pool.use('a', 'a', () => Promise.reject(new Error('any')))).rejects.toThrow('any')
    await flush()
    expect(pool.driver.log).toEqual(['open a 1', 'close a 1'])
  })
})

describe('an invalidated connection', () => {
  test('ends immediately when idle', async () => {
    const pool = createFakePool()
    const lease = await pool.acquire('a', 'a')
    const { connection } = lease
    lease.release()
    pool.invalidate(connection)
    pool.invalidate(connection)
    expect((await pool.acquire('a', 'a')).connection.id).toBe(2)
    expect(pool.driver.log).toEqual(['open a 1', 'close a 1', 'open a 2'])
  })

  test('ends on release when leased', async () => {
    const pool = createFakePool()
    const lease = await pool.acquire('a', 'a')
    pool.invalidate(lease.connection)
    await flush()
    expect(lease.connection.open).toBe(true)
    lease.release()
    await flush()
    expect(pool.driver.log).toEqual(['open a 1', 'close a 1'])
  })

  test('is not handed on when it failed as it opened, was cleaned or was retargeted', async () => {
    for (const when of ['open', 'clean', 'retarget']) {
      const driver = createFakeDriver((step, _key, connection) => {
        if (step === when && connection?.id === 1) pool.invalidate(connection)
      })
      const { clean, retarget } = driver
      const pool = createFakePool({ max: 1, driver, clean, retarget })
      const first = await pool.acquire('a', 'a').catch((error) => error)
      if (when === 'open') expect(first).toMatchObject({ code: 'provider_unavailable' })
      else first.release()
      await flush()
      expect((await pool.acquire('b', 'b')).connection, when).toMatchObject({ id: 2, key: 'b' })
    }
  })
})

describe('errors of close', () => {
  test('are counted and reported, and reach no waiting caller', async () => {
    const driver = createFakeDriver((step) => {
      if (step === 'close') throw new Error('already gone')
    })
    const pool = createFakePool({ max: 1, driver })
    const lease = await pool.acquire('a', 'a')
    lease.destroy()
    expect((await pool.acquire('b', 'b')).connection.id).toBe(2)
    expect(pool.stats().errors).toBe(1)
    expect(pool.reported).toEqual(['close: already gone'])
  })

  test('do not upset the pool when the listener throws', async () => {
    const driver = createFakeDriver((step) => {
      if (step === 'close') throw new Error('already gone')
    })
    const pool = createFakePool({
      max: 1,
      driver,
      onError() {
        throw new Error('bad listener')
      },
    })
    const lease = await pool.acquire('a', 'a')
    lease.destroy()
    expect((await pool.acquire('b', 'b')).connection.id).toBe(2)
  })
})
