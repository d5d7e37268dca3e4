import { describe, expect, test } from 'vitest'
import { createFakeDriver, createFakePool, deferred, flush, state } from './harness.ts'

describe('draining a key', () => {
  test('closes its idle connections and leaves other keys alone', async () => {
    const pool = createFakePool()
    const a = await pool.acquire('a', 'a')
    const b = await pool.acquire('b', 'b')
    a.release()
    b.release()
    await pool.drain('a')
    expect(pool.driver.count('a')).toBe(0)
    expect(pool.stats()).toMatchObject({ connections: 1, idle: 1 })
  })

  test('waits for the leased ones', async () => {
    const pool = createFakePool()
    const lease = await pool.acquire('a', 'a')
    const drained = pool.drain('a')
    expect(await state(drained)).toBe('pending')
    expect(lease.connection.open).toBe(true)
    lease.release()
    await drained
    expect(pool.driver.log).toEqual(['open a 1', 'close a 1'])
    expect(pool.clock.foreground()).toBe(0)
  })

  test('ends the leased ones after the deadline', async () => {
    const pool = createFakePool()
    const lease = await pool.acquire('a', 'a')
    const drained = pool.drain('a', { deadline: 100 })
    pool.clock.advance(99)
    expect(await state(drained)).toBe('pending')
    pool.clock.advance(1)
    await drained
    expect(() => lease.connection).toThrow(expect.objectContaining({ code: 'closed' }))
    lease.release()
    expect(pool.driver.log).toEqual(['open a 1', 'close a 1'])
  })

  test('refuses who waits for the key and who comes', async () => {
    const pool = createFakePool({ max: 1 })
    const lease = await pool.acquire('a', 'a')
    const waiting = pool.acquire('a', 'a')
    const other = pool.acquire('b', 'b')
    const drained = pool.drain('a')
    await expect(waiting).rejects.toMatchObject({ code: 'tenant_not_ready' })
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({ code: 'tenant_not_ready' })
    lease.release()
    await drained
    expect((await other).connection.key).toBe('b')
  })

  test('aborts an opening and closes what it brings', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step) => (step === 'open' ? gate.promise : undefined))
    const pool = createFakePool({ driver })
    const opening = pool.acquire('a', 'a')
    const drained = pool.drain('a')
    await expect(opening).rejects.toMatchObject({ code: 'tenant_not_ready' })
    expect(await state(drained)).toBe('pending')
    gate.resolve()
    await drained
    expect(driver.log).toEqual(['open a 1', 'close a 1'])
  })

  test('does not end before a connection being turned to another key has left it', async () => {
    const gate = deferred()
    const driver = createFakeDriver((step) => (step === 'retarget' ? gate.promise : undefined))
    const pool = createFakePool({ max: 1, driver, retarget: driver.retarget })
    const a = await pool.acquire('a', 'a')
    a.release()
    const b = pool.acquire('b', 'b')
    const drained = pool.drain('a')
    expect(await state(drained)).toBe('pending')
    gate.resolve()
    await drained
    expect((await b).connection).toMatchObject({ id: 1, key: 'b', open: true })
  })

  test('gives up one that is being turned to another key after the deadline', async () => {
    const driver = createFakeDriver((step) => (step === 'retarget' ? new Promise(() => {}) : undefined))
    const pool = createFakePool({ max: 1, driver, retarget: driver.retarget })
    const a = await pool.acquire('a', 'a')
    a.release()
    const b = pool.acquire('b', 'b')
    const drained = pool.drain('a', { deadline: 100 })
    pool.clock.advance(101)
    await expect(b).rejects.toMatchObject({ code: 'provider_unavailable' })
    pool.clock.advance(5_001)
    await drained
    expect(driver.count('a')).toBe(0)
  })

  test('keeps the key closed during its work, and opens it afterwards', async () => {
    const pool = createFakePool()
    const lease = await pool.acquire('a', 'a')
    lease.release()
    const drop = deferred()
    const drained = pool.drain('a', {
      during() {
        expect(pool.driver.count('a')).toBe(0)
        return drop.promise
      },
    })
    await flush()
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({ code: 'tenant_not_ready' })
    drop.resolve()
    await drained
    expect((await pool.acquire('a', 'a')).connection.id).toBe(2)
  })

  test('opens the key again when the work failed, and reports the error', async () => {
    const pool = createFakePool()
    const drained = pool.drain('a', { during: () => Promise.reject(new Error('drop failed')) })
    await expect(drained).rejects.toThrow('drop failed')
    expect((await pool.acquire('a', 'a')).connection.key).toBe('a')
  })

  test('keeps the key closed until both of two concurrent drains have ended', async () => {
    const pool = createFakePool()
    const work = deferred()
    const long = pool.drain('a', { during: () => work.promise })
    await pool.drain('a')
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({ code: 'tenant_not_ready' })
    work.resolve()
    await long
    expect((await pool.acquire('a', 'a')).connection.key).toBe('a')
  })

  test('ends though close hangs', async () => {
    const driver = createFakeDriver((step) => (step === 'close' ? deferred().promise : undefined))
    const pool = createFakePool({ closeTimeout: 50, driver })
    const lease = await pool.acquire('a', 'a')
    lease.release()
    const drained = pool.drain('a')
    pool.clock.advance(50)
    await drained
    expect(pool.stats()).toMatchObject({ connections: 0, errors: 1 })
  })
})

describe('closing the pool', () => {
  test('rejects every caller, waits for leased connections, closes all, and may be repeated', async () => {
    const pool = createFakePool({ max: 2 })
    const a = await pool.acquire('a', 'a')
    const b = await pool.acquire('b', 'b')
    const waiting = pool.acquire('c', 'c')
    b.release()
    const waited = await waiting
    const late = pool.acquire('d', 'd')
    const closed = [pool.close(), pool.close()]
    await expect(late).rejects.toMatchObject({ code: 'closed' })
    await expect(pool.acquire('a', 'a')).rejects.toMatchObject({ code: 'closed' })
    expect(a.connection.open).toBe(true)
    a.release()
    waited.release()
    await Promise.all(closed)
    await pool.close()
    expect(pool.driver.count()).toBe(0)
    expect(pool.driver.connections.filter(({ open }) => open)).toEqual([])
    expect([pool.clock.foreground(), pool.clock.background()]).toEqual([0, 0])
  })

  test('ends the leased after the deadline', async () => {
    const pool = createFakePool()
    await pool.acquire('a', 'a')
    const closed = pool.close({ deadline: 10 })
    pool.clock.advance(10)
    await closed
    expect(pool.driver.log).toEqual(['open a 1', 'close a 1'])
  })

  test('ends immediately when the pool is empty', async () => {
    await createFakePool().close()
  })
})
