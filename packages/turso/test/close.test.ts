import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Client } from '@libsql/client/web'
import type { FactoryOptions, TenantFactory } from '@tenantry/multi-tenancy/provider'
import { captureError } from '@tenantry/test-support'
import { Kysely } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLibsqlFactory, libsqlKysely } from '../src/file/index.ts'
import { createTursoFactory } from '../src/index.ts'
import { type Account, call, startAccount, verify } from './support.ts'

interface Adapters {
  client: Client
  db: Kysely<any>
}

const root = mkdtempSync(path.join(tmpdir(), 'tenantry-views-'))
let account: Account
beforeAll(async () => {
  account = await startAccount()
})
afterAll(async () => {
  rmSync(root, { recursive: true, force: true })
  await account?.turso.close()
})

const createAdapters = (client: Client): Adapters => ({
  client,
  db: new Kysely({ dialect: libsqlKysely(client) }),
})

const FACTORIES: Record<string, (options: FactoryOptions<Client, Adapters>) => TenantFactory<Adapters>> = {
  files: (options) => createLibsqlFactory({ root, ...options }),
  Turso(options) {
    const { organization: organizationName, apiToken } = account.turso
    const { fetch, clock: environment } = account
    return createTursoFactory({ organizationName, apiToken, fetch, environment, ...options })
  },
}

describe.each(Object.entries(FACTORIES))('a handler that closes its client (%s)', (_, create) => {
  it.each<[string, (adapters: Adapters) => unknown]>([
    ['its client', ({ client }) => client.close()],
    ['its client, twice', ({ client }) => [client.close(), client.close()]],
    ['its Kysely', ({ db }) => db.destroy()],
  ])('with %s leaves the next request served', async (_, end) => {
    const factory = create({ createAdapters })
    await factory.provision('acme')
    const adapters = await factory.getAdapters('acme')
    await adapters.db.selectFrom('tenantry_identity').selectAll().execute()
    expect(await factory.getAdapters('acme')).toBe(adapters)
    await end(adapters)
    const next = await factory.getAdapters('acme')
    expect(next).not.toBe(adapters)
    expect((await next.client.execute('SELECT 1 AS one')).rows[0]?.one).toBe(1)
    expect(await next.db.selectFrom('tenantry_identity').selectAll().execute()).toHaveLength(1)
    // Ending the old one again does not touch what came after it.
    await end(adapters)
    expect(await factory.getAdapters('acme')).toBe(next)
    await factory.close()
  })
})

describe('a client', () => {
  it('reports once that it was closed, and works again after reconnect()', async () => {
    const provider = account.provider()
    const { locator } = await provider.create('tenant-told', call)
    let losses = 0
    const client = await provider.connect(
      { locator, purpose: 'manage', verify, onDatabaseGone: () => void losses++ },
      call,
    )
    await client.execute('SELECT 1')
    expect(losses).toBe(0)
    client.close()
    client.close()
    expect(losses).toBe(1)
    expect(await captureError(client.execute('SELECT 1'))).toMatchObject({ code: 'closed' })
    client.reconnect()
    expect((await client.execute('SELECT 1 AS one')).rows[0]?.one).toBe(1)
  })
})
