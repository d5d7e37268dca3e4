import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createMysqlProvider, type MysqlProviderOptions } from '../src/index.ts'
import { randomName, SECRET } from './harness.ts'
import { call, createWorld, type World } from './support.ts'

let world: World
beforeAll(() => {
  world = createWorld()
})
afterAll(() => world?.end())

/** What docs/mysql.md says an administrator needs. */
const rights = (): Record<string, string> => ({
  global: 'GRANT CREATE USER, PROCESS, CONNECTION ADMIN ON *.*',
  mysql: 'GRANT SELECT ON mysql.*',
  tenants: `GRANT ALL PRIVILEGES ON \`${world.prefix.replaceAll('_', '\\_')}%\`.*`,
  registry: `GRANT ALL PRIVILEGES ON \`${world.registry.replaceAll('_', '\\_')}\`.*`,
})

/** A provider whose administrator is a user with just these rights. */
async function withAdmin<Result>(
  grants: readonly string[],
  isolation: 'user' | 'shared',
  work: (provider: ReturnType<typeof createMysqlProvider>, options: MysqlProviderOptions) => Promise<Result>,
): Promise<Result> {
  const user = randomName('tt_admin_')
  await world.sql(`CREATE USER ${user}@'%' IDENTIFIED BY 'a password of the tests'`)
  for (const grant of grants)
    await world.sql(
      `${grant} TO ${user}@'%'${grant.includes(`${world.prefix.slice(0, 5)}`) ? ' WITH GRANT OPTION' : ''}`,
    )
  const url = new URL(inject('mysqlUrl'))
  url.username = user
  url.password = 'a%20password%20of%20the%20tests'
  const options = { connection: url.href, registry: world.registry, secret: SECRET, isolation }
  const provider = createMysqlProvider(options)
  try {
    return await work(provider, options)
  } finally {
    await provider.close()
    await world.sql(`DROP USER ${user}@'%'`)
  }
}

describe('the administrator', () => {
  it('needs no more than the documented rights for a whole life', async () => {
    await withAdmin(Object.values(rights()), 'user', async (provider) => {
      const { locator, created } = await provider.create(`${world.prefix}life`, call)
      expect(created).toBe(true)
      const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      await client.query('CREATE TABLE notes (id INT)')
      await provider.setAccess?.(locator, 'closed', call)
      await provider.setAccess?.(locator, 'open', call)
      await client.query('INSERT INTO notes VALUES (1)')
      expect((await provider.list({ prefix: world.prefix }, call)).databases).toHaveLength(1)
      expect(await provider.diagnose?.({ tenants: 1 }, call)).toBeInstanceOf(Array)
      await provider.drop(locator, call)
      expect(await provider.find(`${world.prefix}life`, call)).toBeUndefined()
    })
  })

  it.each([
    { without: 'global', statement: 'CREATE USER', hint: "isolation: 'shared'" },
    { without: 'mysql', statement: 'SHOW GRANTS', hint: 'SELECT ON mysql' },
    { without: 'tenants', statement: 'GRANT', hint: 'WITH GRANT OPTION' },
  ])(
    'is told which statement was refused and what to grant, without $without',
    async ({ without, statement, hint }) => {
      const given = Object.entries(rights()).filter(([name]) => name !== without)
      await world.provider.create(`${world.prefix}there`, call)
      await withAdmin(
        given.map(([, grant]) => grant),
        'user',
        async (provider) => {
          const error = await provider
            .create(`${world.prefix}refused`, call)
            .catch((thrown: unknown) => thrown)
          expect(error).toMatchObject({ code: 'provider_rejected' })
          expect(String(error)).toContain(statement)
          expect(String(error)).toContain(hint)
          expect(String(error)).not.toContain('a password of the tests')
        },
      )
      // Nothing half made stays in the way.
      const { locator } = await world.provider.create(`${world.prefix}refused`, call)
      await world.provider.drop(locator, call)
    },
  )

  it('is told so when it may not make the registry', async () => {
    const { global, mysql, tenants } = rights()
    await withAdmin([global, mysql, tenants].map(String), 'user', async (_, options) => {
      const provider = createMysqlProvider({ ...options, registry: randomName('tenantry_test_') })
      await expect(provider.create(`${world.prefix}refused`, call)).rejects.toMatchObject({
        code: 'provider_rejected',
        message: expect.stringMatching(/CREATE DATABASE .*registry/),
      })
      await provider.close()
    })
  })

  it('that may make no databases is told so', async () => {
    const { global, mysql, registry } = rights()
    await world.provider.create(`${world.prefix}there`, call)
    await withAdmin([global, mysql, registry].map(String), 'shared', async (provider) => {
      await expect(provider.create(`${world.prefix}none`, call)).rejects.toMatchObject({
        code: 'provider_rejected',
        message: expect.stringMatching(/CREATE DATABASE .*grant CREATE and DROP/),
      })
    })
  })

  it('needs no right to make users with isolation: shared', async () => {
    const { tenants, registry } = rights()
    await withAdmin([tenants, registry].map(String), 'shared', async (provider) => {
      const { locator } = await provider.create(`${world.prefix}shared`, call)
      const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      await client.query('CREATE TABLE notes (id INT)')
      await provider.drop(locator, call)
    })
  })
})
