import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import v8 from 'node:v8'
import vm from 'node:vm'
import type { Client } from '@libsql/client/sqlite3'
import { TenancyError, type TenantProvider } from '@tenantry/multi-tenancy/provider'
import { captureError } from '@tenantry/test-support'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLibsqlFileProvider, type LibsqlFileProviderOptions } from '../src/file/index.ts'
import { openClients } from './counted-driver.ts'
import { call, verify } from './support.ts'

vi.mock('@libsql/client/sqlite3', async (importOriginal) =>
  (await import('./counted-driver.ts')).countedDriver(importOriginal as never),
)

let root: string
let provider: TenantProvider<Client>
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'tenantry-leases-'))
  start({})
})
afterEach(async () => {
  vi.useRealTimers()
  await provider.close()
  rmSync(root, { recursive: true, force: true })
})

function start(options: Partial<LibsqlFileProviderOptions>): void {
  provider = createLibsqlFileProvider({ root, ...options })
}

async function open(name: string, over = provider): Promise<Client> {
  const { locator } = await over.create(name, call)
  const client = await over.connect({ locator, purpose: 'manage', verify }, call)
  await client.execute('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, body TEXT)')
  return client
}

v8.setFlagsFromString('--expose-gc')
const collectGarbage = vm.runInNewContext('gc') as () => void

/** The databases of ours that this process has open. A closed one stays open until its statements are collected. */
async function openDatabaseFiles(): Promise<number> {
  collectGarbage()
  await new Promise((resolve) => setImmediate(resolve))
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return links.filter((link) => link.startsWith(root) && /\.db(?: \(deleted\))?$/.test(link)).length
}

describe('connections', () => {
  it.each([{ maxConnections: 2.5 }, { maxConnections: 0 }, { maxConnectionsPerTenant: 1.5 }])(
    'reject an invalid option by its name: %j',
    (options) => {
      expect(() => createLibsqlFileProvider({ root, ...options })).toThrow(Object.keys(options)[0])
    },
  )

  it.each([106, 300])(
    'serve %d concurrent transactions of one tenant, one after the other',
    async (count) => {
      start({ maxConnectionsPerTenant: 5, queueTimeout: 60_000 })
      const client = await open('tenant_burst')
      const read = async (at: number): Promise<unknown> => {
        const transaction = await client.transaction('read')
        const { rows } = await transaction.execute({ sql: 'SELECT ? AS at', args: [at] })
        await transaction.commit()
        return rows[0]?.at
      }
      const all = Array.from({ length: count }, (_, at) => at)
      expect(await Promise.all(all.map(read))).toEqual(all)
    },
  )

  it('are awaited by at most maxWaiting callers, for at most queueTimeout', async () => {
    start({ maxConnectionsPerTenant: 1, maxWaiting: 1, queueTimeout: 50 })
    const client = await open('tenant_full')
    const transaction = await client.transaction('read')
    const waiting = captureError(client.transaction('read'))
    expect(await captureError(client.transaction('read'))).toMatchObject({
      code: 'pool_exhausted',
      message: expect.stringContaining('(maxWaiting: 1)'),
    })
    expect(await waiting).toMatchObject({
      code: 'pool_exhausted',
      message: expect.stringContaining('within 50 ms (queueTimeout)'),
    })
    await transaction.rollback()
  })

  it('stay within their limits with many tenants and calls', async () => {
    start({ maxConnections: 4, maxConnectionsPerTenant: 2 })
    const clients = await Promise.all(Array.from({ length: 12 }, (_, at) => open(`tenant_${at}`)))
    let most = 0
    await Promise.all(
      clients.flatMap((client, at) =>
        Array.from({ length: 10 }, async (_, n) => {
          await client.execute({ sql: 'INSERT INTO notes VALUES (?, ?)', args: [n, String(at)] })
          most = Math.max(most, openClients.size)
        }),
      ),
    )
    expect(most).toBe(4)
    for (const [at, client] of clients.entries()) {
      const { rows } = await client.execute('SELECT count(*) AS n, min(body) AS body FROM notes')
      expect({ ...rows[0] }).toEqual({ n: 10, body: String(at) })
    }
  })

  it('are closed with the provider, those in transactions included', async () => {
    start({ drainTimeout: 20 })
    const client = await open('tenant_a')
    const transaction = await client.transaction('write')
    await provider.close()
    expect(openClients.size).toBe(0)
    expect(await openDatabaseFiles()).toBe(0)
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'closed' })
    expect(await captureError(transaction.execute('SELECT 1'))).toMatchObject({ code: 'closed' })
    transaction.close()
    await provider.close()
  })

  it('are each verified before their first use, and destroyed when that fails', async () => {
    await open('tenant_a')
    start({ maxConnectionsPerTenant: 3 })
    const locator = (await provider.find('tenant_a', call)) ?? {}
    let verified = 0
    const client = await provider.connect(
      {
        locator,
        purpose: 'serve',
        async verify(query) {
          verified++
          expect(await query({ sql: 'SELECT count(*) AS n FROM notes WHERE id = ?', params: [1] })).toEqual([
            { n: 0 },
          ])
          if (verified > 3) throw new TenancyError('wrong_tenant', 'The stamp names another tenant')
        },
      },
      call,
    )
    const transactions = [await client.transaction('deferred'), await client.transaction('deferred')]
    await client.execute('SELECT 1')
    expect(verified).toBe(3)
    await client.execute('CREATE TEMP TABLE t (a)')
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'wrong_tenant' })
    for (const transaction of transactions) transaction.close()
  })

  it('of one tenant can run out for that tenant only, which gets a coded error', async () => {
    start({ maxConnectionsPerTenant: 2 })
    const [busy, other] = [await open('tenant_busy'), await open('tenant_other')]
    const transactions = [await busy.transaction('deferred'), await busy.transaction('deferred')]
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const waiting = captureError(busy.execute('SELECT 1'))
    expect((await other.execute('SELECT 1 AS one')).rows[0]?.one).toBe(1)
    await vi.advanceTimersByTimeAsync(5_001)
    expect(await waiting).toMatchObject({ code: 'pool_exhausted' })
    for (const transaction of transactions) transaction.close()
  })
})

describe('the session state of one user', () => {
  it.each([
    ['a temporary table', 'CREATE TEMP TABLE notes (id, body)'],
    ['a temporary table by its schema', 'CREATE TABLE "temp".notes (id, body)'],
    ['a temporary view', 'CREATE TEMPORARY VIEW notes AS SELECT 7 AS id, 7 AS body'],
    ['a temporary trigger', 'CREATE TEMP TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END'],
    ['foreign keys off', 'PRAGMA foreign_keys = OFF'],
    ['a read-only mode', 'PRAGMA query_only = ON'],
    ['an old ALTER TABLE', 'PRAGMA legacy_alter_table = ON'],
    ['an open transaction', 'BEGIN IMMEDIATE'],
    ['an open savepoint', 'SAVEPOINT one'],
  ])('does not reach the next user: %s', async (_, sql) => {
    start({ maxConnectionsPerTenant: 1 })
    const client = await open('tenant_a')
    const ways = [
      () => client.execute(sql),
      () => client.executeMultiple(`${sql}; SELECT 1`),
      () => client.batch([sql]).catch(() => {}),
      async () => {
        const transaction = await client.transaction('deferred')
        await transaction.execute(sql).catch(() => {})
        await transaction.commit().catch(() => {})
      },
    ]
    for (const [at, leave] of ways.entries()) {
      await leave()
      await client.execute({ sql: 'INSERT INTO notes VALUES (?, ?)', args: [at, 'kept'] })
      const { rows } = await client.execute('SELECT count(*) AS n FROM main.notes')
      expect(rows[0]?.n).toBe(at + 1)
      expect((await client.execute('SELECT * FROM sqlite_temp_master')).rows).toEqual([])
      for (const [pragma, value] of [
        ['foreign_keys', 1],
        ['query_only', 0],
        ['legacy_alter_table', 0],
      ] as const) {
        expect((await client.execute(`PRAGMA ${pragma}`)).rows[0]?.[pragma]).toBe(value)
      }
    }
  })

  it('costs plain statements nothing: they keep their connection', async () => {
    start({ maxConnectionsPerTenant: 1 })
    let opened = 0
    const { locator } = await provider.create('tenant_a', call)
    const counting = async (): Promise<void> => void opened++
    const client = await provider.connect({ locator, purpose: 'manage', verify: counting }, call)
    await client.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY)')
    for (let n = 0; n < 20; n++) await client.execute('INSERT INTO notes DEFAULT VALUES')
    await client.execute('INSERT INTO notes VALUES (1)').catch(() => {})
    await client.execute('SELECT * FROM missing').catch(() => {})
    await client.execute("ATTACH 'x' AS y").catch(() => {})
    await client.execute('PRAGMA table_info(notes)')
    expect(opened).toBe(1)
  })

  it('is rolled back after transactionIdleTimeout when a transaction was not ended', async () => {
    start({ maxConnectionsPerTenant: 2, transactionIdleTimeout: 5_000 })
    const client = await open('tenant_a')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const forgotten = await client.transaction('write')
    await forgotten.execute("INSERT INTO notes VALUES (1, 'lost')")
    await vi.advanceTimersByTimeAsync(4_000)
    await forgotten.execute("INSERT INTO notes VALUES (2, 'lost')")
    await vi.advanceTimersByTimeAsync(4_000)
    expect(forgotten.closed).toBe(false)
    await vi.advanceTimersByTimeAsync(1_100)
    expect(forgotten.closed).toBe(true)
    expect((await client.execute('SELECT * FROM notes')).rows).toEqual([])
    await client.execute("INSERT INTO notes VALUES (1, 'kept')")
    expect(await captureError(forgotten.execute('SELECT 1'))).toMatchObject({ code: 'timeout' })
    expect(await captureError(forgotten.commit())).toMatchObject({ code: 'timeout' })
    forgotten.close()
  })
})

describe('a time that is longer than a timer can wait', () => {
  it.each([Infinity, 2 ** 31, 3e9])('is the longest time of a timer, not zero: %d ms', async (long) => {
    start({ transactionIdleTimeout: long, busyTimeout: long, drainTimeout: long })
    const client = await open('tenant_a')
    const transaction = await client.transaction('write')
    await transaction.execute("INSERT INTO notes VALUES (1, 'kept')")
    const waiting = client.execute("INSERT INTO notes VALUES (2, 'kept')")
    const { locator } = await provider.create('tenant_b', call)
    await provider.drop(locator, call)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(transaction.closed).toBe(false)
    await transaction.commit()
    await waiting
    expect((await client.execute('SELECT * FROM notes')).rows).toHaveLength(2)
  })
})

describe('a lock of another connection', () => {
  it('is awaited without blocking the process, so that its holder can release it', async () => {
    const client = await open('tenant_a')
    const holder = await client.transaction('write')
    await holder.execute("INSERT INTO notes VALUES (1, 'first')")
    const works = [
      client.execute("INSERT INTO notes VALUES (2, 'second')"),
      client.batch(["INSERT INTO notes VALUES (3, 'third')"], 'write'),
      client.executeMultiple("INSERT INTO notes VALUES (4, 'fourth'); INSERT INTO notes VALUES (5, 'fifth')"),
    ]
    expect((await client.execute('SELECT * FROM notes')).rows).toEqual([])
    await holder.execute("INSERT INTO notes VALUES (6, 'sixth')")
    await holder.commit()
    await Promise.all(works)
    expect((await client.execute('SELECT count(*) AS n FROM notes')).rows[0]?.n).toBe(6)
  })

  it('of another process is awaited for busyTimeout, then the error is retryable', async () => {
    const client = await open('tenant_a')
    const holder = await client.transaction('write')
    let slept = 0
    const second = createLibsqlFileProvider({
      root,
      busyTimeout: 1_000,
      environment: {
        now: () => slept,
        sleep: async (ms) => {
          slept += ms
        },
      },
    })
    const locator = (await second.find('tenant_a', call)) ?? {}
    const other = await second.connect({ locator, purpose: 'manage', verify }, call)
    for (const work of [
      () => other.execute("INSERT INTO notes VALUES (1, 'x')"),
      () => other.transaction('write'),
      () => other.batch(['DELETE FROM notes'], 'write'),
      () => other.executeMultiple('DELETE FROM notes'),
    ]) {
      slept = 0
      const error = await captureError(work() as Promise<unknown>)
      expect(error).toMatchObject({ code: 'provider_unavailable', retryAfter: 1 })
      expect(slept).toBeGreaterThan(900)
      expect(slept).toBeLessThanOrEqual(1_000)
    }
    holder.close()
    await other.execute("INSERT INTO notes VALUES (1, 'x')")
    await second.close()
  })

  it('that was not released leaves no connection with an old snapshot', async () => {
    const client = await open('tenant_a')
    const second = createLibsqlFileProvider({ root, busyTimeout: 0, maxConnectionsPerTenant: 1 })
    const locator = (await second.find('tenant_a', call)) ?? {}
    const other = await second.connect({ locator, purpose: 'manage', verify }, call)
    const count = async (): Promise<unknown> =>
      (await other.execute('SELECT count(*) AS n FROM notes')).rows[0]?.n
    const insert = 'INSERT INTO notes DEFAULT VALUES'
    const ways = [
      () => other.execute(insert),
      () => other.batch([insert], 'write'),
      () => other.executeMultiple(insert),
      () => other.transaction('write'),
      async () => {
        const transaction = await other.transaction('deferred')
        await transaction.execute(insert).finally(() => transaction.close())
      },
      () => other.execute('INSERT INTO notes (id) VALUES (1)'),
      () => other.execute("SELECT json('nonsense') FROM notes"),
      () => other.execute('SELECT 9223372036854775807'),
    ]
    for (const [at, fail] of ways.entries()) {
      const holder = await client.transaction('write')
      await holder.execute(insert)
      await expect((fail as () => Promise<unknown>)()).rejects.toThrow()
      expect(await count()).toBe(2 * at)
      await holder.commit()
      expect(await count(), `way ${at}`).toBe(2 * at + 1)
      await other.execute(insert)
    }
    await second.close()
  })

  it('is not awaited by a transaction whose snapshot is outdated', async () => {
    const client = await open('tenant_a')
    const late = await client.transaction('deferred')
    await late.execute('SELECT * FROM notes')
    await client.execute("INSERT INTO notes VALUES (1, 'x')")
    const started = performance.now()
    expect(await captureError(late.execute('DELETE FROM notes'))).toMatchObject({
      code: 'provider_unavailable',
    })
    expect(performance.now() - started).toBeLessThan(2_000)
    late.close()
  })
})

describe('the client', () => {
  it('closes only itself, and can be opened again', async () => {
    const client = await open('tenant_a')
    const locator = (await provider.find('tenant_a', call)) ?? {}
    const other = await provider.connect({ locator, purpose: 'manage', verify }, call)
    const running = other.execute('SELECT 1 AS one')
    client.close()
    expect(client.closed).toBe(true)
    for (const work of [() => client.execute('SELECT 1'), () => client.transaction('read')]) {
      expect(await captureError(work() as Promise<unknown>)).toMatchObject({ code: 'closed' })
    }
    expect((await running).rows[0]?.one).toBe(1)
    client.reconnect()
    expect((await client.execute('SELECT 1 AS one')).rows[0]?.one).toBe(1)
    expect(await captureError(client.sync())).toMatchObject({ code: 'not_supported' })
    expect(client.protocol).toBe('file')
  })

  it("throws the driver's own error for a failed statement", async () => {
    const client = await open('tenant_a')
    await client.execute("INSERT INTO notes VALUES (1, 'x')")
    await expect(client.execute("INSERT INTO notes VALUES (1, 'x')")).rejects.toMatchObject({
      name: 'LibsqlError',
      code: 'SQLITE_CONSTRAINT',
      extendedCode: 'SQLITE_CONSTRAINT_PRIMARYKEY',
    })
    await expect(client.batch(['SELECT 1', 'nonsense'])).rejects.toMatchObject({
      name: 'LibsqlBatchError',
      statementIndex: 1,
    })
  })
})
