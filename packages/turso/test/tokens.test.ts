import type { Client } from '@libsql/client/web'
import { captureError } from '@tenantry/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Account, call, startAccount, verify } from './support.ts'

let account: Account
beforeAll(async () => {
  account = await startAccount()
})
beforeEach(() => account.reset())
afterAll(() => account?.turso.close())

const HOUR = 3_600_000
let serial = 0
const freshName = (): string => `tenant-token-${serial++}`
const minted = (name: string): number => account.count('tokens.create', name)
const one = async (client: Client): Promise<unknown> => (await client.execute('SELECT 1 AS one')).rows[0]?.one

describe('the token of a database', () => {
  it('is minted once for many calls and clients', async () => {
    const name = freshName()
    const provider = account.provider()
    const client = await account.open(name, provider)
    const { locator } = await provider.create(name, call)
    const another = await provider.connect({ locator, purpose: 'manage', verify }, call)
    await Promise.all(Array.from({ length: 10 }, (_, at) => one(at % 2 === 0 ? client : another)))
    expect(minted(name)).toBe(1)
  })

  it('is renewed in the background after 80 % of its lifetime, and not earlier', async () => {
    const name = freshName()
    const client = await account.open(name, account.provider({ tokenLifetime: '1h' }))
    account.clock.advance(0.79 * HOUR)
    await one(client)
    expect(minted(name)).toBe(1)
    account.clock.advance(0.02 * HOUR)
    const hold = account.turso.faults.hold({ operation: 'tokens.create', database: name })
    expect(await one(client)).toBe(1)
    await hold.met()
    expect(await one(client)).toBe(1)
    hold.remove()
    await expect.poll(() => minted(name)).toBe(2)
  })

  it('is renewed once for many concurrent calls', async () => {
    const name = freshName()
    const client = await account.open(name)
    account.clock.advance(2 * HOUR)
    const answers = await Promise.all(Array.from({ length: 50 }, () => one(client)))
    expect(answers).toEqual(Array.from({ length: 50 }, () => 1))
    expect(minted(name)).toBe(2)
  })

  it('that the database refuses is minted again, and the call is repeated once', async () => {
    const name = freshName()
    const client = await account.open(name)
    await client.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY)')
    account.clock.advance(10_000)
    await rotateKeys(name)
    await Promise.all([
      client.execute('INSERT INTO notes DEFAULT VALUES'),
      client.batch(['INSERT INTO notes DEFAULT VALUES'], 'write'),
      client.executeMultiple('INSERT INTO notes DEFAULT VALUES'),
      client.migrate(['INSERT INTO notes DEFAULT VALUES']),
      inTransaction(client, 'INSERT INTO notes DEFAULT VALUES'),
    ])
    expect(await account.turso.oracle.execute(name, 'SELECT count(*) AS n FROM notes')).toEqual([{ n: 5 }])
    expect(minted(name)).toBe(2)
  })

  it('that expires or is revoked during traffic causes no error', async () => {
    const name = freshName()
    const client = await account.open(name)
    await client.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY)')
    for (let round = 0; round < 8; round++) {
      if (round % 2 === 0) await rotateKeys(name)
      account.clock.advance(0.6 * HOUR)
      await Promise.all(Array.from({ length: 10 }, () => client.execute('INSERT INTO notes DEFAULT VALUES')))
    }
    expect(await account.turso.oracle.execute(name, 'SELECT count(*) AS n FROM notes')).toEqual([{ n: 80 }])
  })

  it('that is refused repeatedly is minted again once', async () => {
    const name = freshName()
    const client = await account.open(name)
    account.clock.advance(10_000)
    account.turso.faults.fail({ operation: 'data', database: name, status: 401, times: Infinity })
    for (let attempt = 0; attempt < 10; attempt++) {
      expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'credentials_rejected' })
    }
    expect(minted(name)).toBe(2)
    account.turso.faults.clear()
    expect(await one(client)).toBe(1)
  })

  it('stays in use while the platform cannot renew it; the platform is asked every half minute', async () => {
    const name = freshName()
    const client = await account.open(name)
    account.turso.faults.fail({ operation: 'tokens.create', database: name, status: 503, times: Infinity })
    account.clock.advance(0.85 * HOUR)
    for (let attempt = 0; attempt < 5; attempt++) expect(await one(client)).toBe(1)
    await expect.poll(() => minted(name)).toBe(2)
    for (let attempt = 0; attempt < 5; attempt++) expect(await one(client)).toBe(1)
    expect(minted(name)).toBe(2)
    account.clock.advance(31_000)
    expect(await one(client)).toBe(1)
    await expect.poll(() => minted(name)).toBe(3)
    account.clock.advance(HOUR)
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'provider_unavailable' })
  })

  it('never opens a database that was created again under the same name', async () => {
    const name = freshName()
    const [before, after] = [account.provider(), account.provider()]
    const { locator } = await before.create(name, call)
    const client = await before.connect({ locator, purpose: 'manage', verify }, call)
    await account.turso.oracle.destroy(name)
    const { locator: next } = await after.create(name, call)
    const fresh = await after.connect({ locator: next, purpose: 'manage', verify }, call)
    await fresh.execute('CREATE TABLE secret AS SELECT 1 AS one')

    account.clock.advance(10_000)
    expect(await captureError(client.execute('SELECT * FROM secret'))).toMatchObject({ code: 'stale_tenant' })
    expect(await captureError(client.execute('SELECT * FROM secret'))).toMatchObject({ code: 'stale_tenant' })
    const late = account.provider().connect({ locator, purpose: 'manage', verify }, call)
    expect(await captureError(late)).toMatchObject({ code: 'stale_tenant' })
    await before.drop(locator, call)
    expect(await one(fresh)).toBe(1)
    expect(account.turso.oracle.databases().some(({ DbId }) => DbId === next.id)).toBe(true)
  })

  it('ends with its database: the client reports the loss, and only then', async () => {
    const name = freshName()
    const provider = account.provider()
    const { locator } = await provider.create(name, call)
    let losses = 0
    const client = await provider.connect(
      { locator, purpose: 'manage', verify, onDatabaseGone: () => void losses++ },
      call,
    )
    account.turso.faults.fail({ operation: 'data', database: name, status: 404 })
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'tenant_not_ready' })
    account.turso.faults.fail({ operation: 'data', database: name, status: 404 })
    account.turso.faults.fail({ operation: 'databases.retrieve', status: 503 })
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'tenant_not_ready' })
    expect(losses).toBe(0)
    await account.turso.oracle.destroy(name)
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'tenant_not_found' })
    expect(losses).toBe(1)
    await account.turso.oracle.create(name)
    account.clock.advance(10_000)
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'stale_tenant' })
    expect(losses).toBe(2)
  })

  it('is discarded when the database was replaced while it was minted', async () => {
    const name = freshName()
    const provider = account.provider()
    const { locator } = await provider.create(name, call)
    const hold = account.turso.faults.hold({ operation: 'tokens.create', database: name })
    const connecting = captureError(account.provider().connect({ locator, purpose: 'manage', verify }, call))
    await hold.met()
    await account.turso.oracle.destroy(name)
    await account.turso.oracle.create(name)
    hold.remove()
    expect(await connecting).toMatchObject({ code: 'stale_tenant' })
  })

  it("is kept as data on Workers, where no request awaits another request's minting", async () => {
    const name = freshName()
    await account.open(name)
    const provider = account.provider({ environment: { ...account.clock, runtime: 'workers' } })
    const locator = (await provider.find(name, call)) ?? {}
    const before = minted(name)
    const hold = account.turso.faults.hold({ operation: 'tokens.create', database: name })
    const stuck = provider.connect({ locator, purpose: 'manage', verify }, call)
    await hold.met()
    expect(await one(await provider.connect({ locator, purpose: 'manage', verify }, call))).toBe(1)
    expect(minted(name)).toBe(before + 2)
    hold.remove()
    await stuck
    expect(await one(await provider.connect({ locator, purpose: 'manage', verify }, call))).toBe(1)
    expect(minted(name)).toBe(before + 2)
  })

  it('must have a lifetime that the API accepts', () => {
    for (const tokenLifetime of ['never', '', '1', '59s', '1h ', '-1h', '1.5h', 'h', '30m1h']) {
      expect(() => account.provider({ tokenLifetime }), tokenLifetime).toThrow(/tokenLifetime/)
    }
    for (const tokenLifetime of ['1h', '60s', '2w1d30m', '90m']) account.provider({ tokenLifetime })
  })
})

describe('a transaction', () => {
  it('keeps the token that it began with', async () => {
    const name = freshName()
    const client = await account.open(name)
    await client.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY)')
    const transaction = await client.transaction('write')
    await transaction.execute('INSERT INTO notes DEFAULT VALUES')
    account.clock.advance(0.9 * HOUR)
    await transaction.execute('INSERT INTO notes DEFAULT VALUES')
    await transaction.commit()
    expect(await account.turso.oracle.execute(name, 'SELECT count(*) AS n FROM notes')).toEqual([{ n: 2 }])
  })

  it('stays one transaction when its first concurrent statements find the token refused', async () => {
    const name = freshName()
    const client = await account.open(name)
    await client.execute('CREATE TABLE notes (id INTEGER PRIMARY KEY)')
    await rotateKeys(name)
    account.clock.advance(10_000)
    const transaction = await client.transaction('write')
    await Promise.all([1, 2, 3].map((id) => transaction.execute(`INSERT INTO notes VALUES (${id})`)))
    await transaction.rollback()
    expect(await account.turso.oracle.execute(name, 'SELECT count(*) AS n FROM notes')).toEqual([{ n: 0 }])
  })
})

async function rotateKeys(name: string): Promise<void> {
  const { url, organization, apiToken } = account.turso
  await fetch(`${url}/v1/organizations/${organization}/databases/${name}/auth/rotate`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiToken}` },
  })
}

async function inTransaction(client: Client, sql: string): Promise<void> {
  const transaction = await client.transaction('write')
  await transaction.execute(sql)
  await transaction.commit()
}
