import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createClient } from '@libsql/client/web'
import { TenancyError } from '@tenantry/multi-tenancy'
import { captureError } from '@tenantry/test-support'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createLibsqlFileProvider } from '../src/file/index.ts'
import { createTursoProvider } from '../src/index.ts'
import { type Account, call, startAccount, verify } from './support.ts'

describe('a closed Turso database', () => {
  let account: Account
  let serial = 0
  beforeAll(async () => {
    account = await startAccount()
  })
  beforeEach(() => account.reset())
  afterAll(() => account?.turso.close())

  const freshName = (): string => `tenant-access-${serial++}`

  it('is tenant_suspended; one that Turso blocks by itself is quota_exceeded', async () => {
    const provider = account.provider()
    const name = freshName()
    const client = await account.open(name, provider)
    const locator = (await provider.find(name, call)) ?? {}
    await provider.setAccess?.(locator, 'closed', call)
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'tenant_suspended' })
    await provider.setAccess?.(locator, 'open', call)
    await configure(name, { block_reads: true })
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'quota_exceeded' })
  })

  it('accepts no token from before it was closed, even after it is opened again', async () => {
    const provider = account.provider()
    const name = freshName()
    const { locator } = await provider.create(name, call)
    const authToken = await account.turso.oracle.token(name)
    const thief = createClient({ url: `https://${locator.hostname}`, authToken, fetch: account.turso.fetch })
    expect((await thief.execute('SELECT 1 AS one')).rows[0]?.one).toBe(1)
    await provider.setAccess?.(locator, 'closed', call)
    await provider.setAccess?.(locator, 'open', call)
    await expect(thief.execute('SELECT 1 AS one')).rejects.toThrow('401')
  })

  it('is closed by a second try when the response of any request was lost', async () => {
    for (const operation of ['databases.configure', 'tokens.rotate'] as const) {
      const provider = account.provider()
      const name = freshName()
      const client = await account.open(name, provider)
      const locator = (await provider.find(name, call)) ?? {}
      account.turso.faults.dropReply({ operation, database: name })
      const closing = provider.setAccess?.(locator, 'closed', call) ?? Promise.resolve()
      expect(await captureError(closing)).toMatchObject({ code: 'provider_unavailable' })
      await provider.setAccess?.(locator, 'closed', call)
      expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'tenant_suspended' })
    }
  })

  it('needs a platform token that may close databases; the error says so', async () => {
    const { organization: organizationName, fetch, oracle } = account.turso
    const scopes = ['read', 'db:create', 'db:delete', 'db:mint-token'] as const
    const apiToken = await oracle.platformToken({ group: 'default', scopes: [...scopes] })
    const provider = createTursoProvider({ organizationName, apiToken, fetch })
    const { locator } = await provider.create(freshName(), call)
    expect(
      await captureError(provider.setAccess?.(locator, 'closed', call) ?? Promise.resolve()),
    ).toMatchObject({
      code: 'credentials_rejected',
    })
  })

  it('does not close another database of the same name', async () => {
    const provider = account.provider()
    const name = freshName()
    const { locator } = await provider.create(name, call)
    await provider.drop(locator, call)
    const client = await account.open(name, provider)
    expect(
      await captureError(provider.setAccess?.(locator, 'closed', call) ?? Promise.resolve()),
    ).toMatchObject({
      code: 'tenant_not_found',
    })
    expect((await client.execute('SELECT 1 AS one')).rows[0]?.one).toBe(1)
  })

  async function configure(name: string, body: object): Promise<void> {
    const { url, organization, apiToken, fetch } = account.turso
    await fetch(`${url}/v1/organizations/${organization}/databases/${name}/configuration`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${apiToken}` },
      body: JSON.stringify(body),
    })
  }
})

describe('placement', () => {
  it('names a group: the default one or a further one', async () => {
    const account = await startAccount()
    expect(account.provider().placements).toEqual(['default'])
    expect(account.provider({ groups: ['elsewhere'] }).placements).toEqual(['default', 'elsewhere'])
    for (const groups of [['Upper'], ['a/b'], 'default'] as never[]) {
      expect(() => account.provider({ groups })).toThrow(TenancyError)
    }
    await account.turso.close()
  })
})

describe('a closed file', () => {
  it('stays closed for a process that starts later, and its marker is deleted with it', async () => {
    const root = mkdtempSync(path.join(tmpdir(), 'tenantry-access-'))
    const [here, later] = [createLibsqlFileProvider({ root }), createLibsqlFileProvider({ root })]
    const { locator } = await here.create('tenant_a', call)
    await here.setAccess?.(locator, 'closed', call)
    await here.close()
    expect(await captureError(later.connect({ locator, purpose: 'manage', verify }, call))).toMatchObject({
      code: 'tenant_suspended',
    })
    await later.drop(locator, call)
    expect(readdirSync(root)).toEqual([])
    await later.close()
    rmSync(root, { recursive: true })
  })

  it('gives no connection to callers that were waiting when it was closed', async () => {
    const root = mkdtempSync(path.join(tmpdir(), 'tenantry-access-'))
    const provider = createLibsqlFileProvider({ root, maxConnectionsPerTenant: 1 })
    const elsewhere = createLibsqlFileProvider({ root })
    const { locator } = await provider.create('tenant_a', call)
    const client = await provider.connect({ locator, purpose: 'manage', verify }, call)
    const transaction = await client.transaction('deferred')
    const waiting = captureError(client.execute('SELECT 1'))
    await elsewhere.setAccess?.(locator, 'closed', call)
    transaction.close()
    expect(await waiting).toMatchObject({ code: 'tenant_suspended' })
    await Promise.all([provider.close(), elsewhere.close()])
    rmSync(root, { recursive: true })
  })
})
