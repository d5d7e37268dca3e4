import { captureError } from '@tenantry/test-support'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createMysqlProvider, type MysqlProviderOptions } from '../src/index.ts'
import { randomName, SECRET } from './harness.ts'
import { call, createTestEnvironment, type TestEnvironment } from './support.ts'

let environment: TestEnvironment
beforeAll(() => {
  environment = createTestEnvironment()
})
afterAll(() => environment?.end())

/** The rights of the administrator in docs/mysql.md. */
const rights = (): Record<string, string> => ({
  global: 'GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.*',
  mysql: 'GRANT SELECT ON mysql.*',
  tenants: `GRANT ALL PRIVILEGES ON \`${environment.prefix.replaceAll('_', '\\_')}%\`.*`,
  registry: `GRANT ALL PRIVILEGES ON \`${environment.registry.replaceAll('_', '\\_')}\`.*`,
})

/** Runs `work` with a provider that has an administrator with exactly these rights. */
async function withAdmin<Result>(
  grants: readonly string[],
  isolation: 'user' | 'shared',
  work: (provider: ReturnType<typeof createMysqlProvider>, options: MysqlProviderOptions) => Promise<Result>,
): Promise<Result> {
  const user = randomName('tt_admin_')
  await environment.sql(`CREATE USER ${user}@'%' IDENTIFIED BY 'a password of the tests'`)
  for (const grant of grants)
    await environment.sql(
      `${grant} TO ${user}@'%'${grant.includes(`${environment.prefix.slice(0, 5)}`) ? ' WITH GRANT OPTION' : ''}`,
    )
  const url = new URL(inject('mysqlUrl'))
  url.username = user
  url.password = 'a%20password%20of%20the%20tests'
  const options = { connection: url.href, registry: environment.registry, secret: SECRET, isolation }
  const provider = createMysqlProvider(options)
  try {
    return await work(provider, options)
  } finally {
    await provider.close()
    await environment.sql(`DROP USER ${user}@'%'`)
  }
}

describe('the administrator', () => {
  it('creates, closes, opens and deletes a tenant with the documented rights only', async () => {
    await withAdmin(Object.values(rights()), 'user', async (provider) => {
      const { locator, created } = await provider.create(`${environment.prefix}life`, call)
      expect(created).toBe(true)
      const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      await client.query('CREATE TABLE notes (id INT)')
      await provider.setAccess?.(locator, 'closed', call)
      await provider.setAccess?.(locator, 'open', call)
      await client.query('INSERT INTO notes VALUES (1)')
      expect((await provider.list({ prefix: environment.prefix }, call)).databases).toHaveLength(1)
      expect(await provider.diagnose?.({ tenants: 1 }, call)).toBeInstanceOf(Array)
      await provider.drop(locator, call)
      expect(await provider.find(`${environment.prefix}life`, call)).toBeUndefined()
    })
  })

  it.each([
    { without: 'global', statement: 'CREATE USER', hint: "isolation: 'shared'" },
    { without: 'mysql', statement: 'SHOW GRANTS', hint: 'SELECT ON mysql' },
    { without: 'tenants', statement: 'GRANT', hint: 'WITH GRANT OPTION' },
  ])(
    'gets an error that names the refused statement and the missing right, without $without',
    async ({ without, statement, hint }) => {
      const remaining = Object.entries(rights()).filter(([name]) => name !== without)
      await environment.provider.create(`${environment.prefix}existing`, call)
      await withAdmin(
        remaining.map(([, grant]) => grant),
        'user',
        async (provider) => {
          const error = await captureError(provider.create(`${environment.prefix}refused`, call))
          expect(error).toMatchObject({ code: 'provider_rejected' })
          expect(String(error)).toContain(statement)
          expect(String(error)).toContain(hint)
          expect(String(error)).not.toContain('a password of the tests')
        },
      )
      // The refused provision does not block the next.
      const { locator } = await environment.provider.create(`${environment.prefix}refused`, call)
      await environment.provider.drop(locator, call)
    },
  )

  it('gets an error that names the registry when it cannot create the registry', async () => {
    const { global, mysql, tenants } = rights()
    await withAdmin([global, mysql, tenants].map(String), 'user', async (_, options) => {
      const provider = createMysqlProvider({ ...options, registry: randomName('tenantry_test_') })
      await expect(provider.create(`${environment.prefix}refused`, call)).rejects.toMatchObject({
        code: 'provider_rejected',
        message: expect.stringMatching(/CREATE DATABASE .*registry/),
      })
      await provider.close()
    })
  })

  it('gets an error that names the right when it cannot create databases', async () => {
    const { global, mysql, registry } = rights()
    await environment.provider.create(`${environment.prefix}existing`, call)
    await withAdmin([global, mysql, registry].map(String), 'shared', async (provider) => {
      await expect(provider.create(`${environment.prefix}none`, call)).rejects.toMatchObject({
        code: 'provider_rejected',
        message: expect.stringMatching(/CREATE DATABASE .*grant CREATE and DROP/),
      })
    })
  })

  it('needs no right to create users with isolation: shared', async () => {
    const { tenants, registry } = rights()
    await withAdmin([tenants, registry].map(String), 'shared', async (provider) => {
      const { locator } = await provider.create(`${environment.prefix}shared`, call)
      const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      await client.query('CREATE TABLE notes (id INT)')
      await provider.drop(locator, call)
    })
  })
})
