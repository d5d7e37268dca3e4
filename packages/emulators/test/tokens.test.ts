import { decodeJwt } from 'jose'
import { describe, expect, test } from 'vitest'
import { startTursoEmulator } from '../src/index.ts'
import { emulatorForTests, helpers } from './support.ts'

const turso = await emulatorForTests()
const { call, query, tenant, oracle } = turso
const mint = async (name: string, search = ''): Promise<string> =>
  (await call('POST', `/databases/${name}/auth/tokens${search}`)).body.jwt

// A database that tests only mint tokens for.
await oracle.create('lasting')

describe('a database token', () => {
  test('opens its database', async () => {
    const { hostname, token } = await tenant('own')
    expect(await query(hostname, token)).toMatchObject({ status: 200, result: { type: 'ok' } })
  })

  test('opens no other database', async () => {
    const { token } = await tenant('mine')
    const { hostname } = await tenant('yours')
    expect((await query(hostname, token)).status).toBe(401)
  })

  test('that names another namespace gets "not found"', async () => {
    const { hostname } = await tenant('named')
    const token = await oracle.token('named', { namespace: 'mine-acme' })
    expect(await query(hostname, token)).toMatchObject({
      status: 404,
      result: { error: "Namespace `named-acme` doesn't exist" },
    })
  })

  test('is needed, and must be one', async () => {
    const { hostname } = await tenant('needed')
    expect((await query(hostname, undefined)).status).toBe(401)
    expect((await query(hostname, 'garbage')).status).toBe(401)
    expect((await query(hostname, turso.apiToken)).status).toBe(401)
  })

  test('for reading reads and does not write', async () => {
    const { hostname, token } = await tenant('reading')
    await query(hostname, token, 'create table t (a)')
    const reader = await mint('reading', '?authorization=read-only')
    expect((await query(hostname, reader, 'select * from t')).status).toBe(200)
    expect((await query(hostname, reader, 'insert into t values (1)')).status).toBe(403)
    expect((await call('POST', '/databases/reading/auth/tokens?authorization=all')).status).toBe(400)
  })

  test('lives as long as asked', async () => {
    const lifetime = async (expiration: string): Promise<number | undefined> => {
      const { exp, iat = 0 } = decodeJwt(await mint('lasting', `?expiration=${expiration}`))
      return exp === undefined ? undefined : exp - iat
    }
    expect(await lifetime('2w1d30m')).toBe(15 * 86_400 + 1800)
    expect(await lifetime('1h')).toBe(3600)
    expect(await lifetime('90s')).toBe(90)
    expect(await lifetime('never')).toBeUndefined()
    expect(decodeJwt(await mint('lasting')).exp).toBeUndefined()
  })

  test.each(['1x', '30m2w', '-1d', '1.5h', '0s', 'tomorrow'])(
    'with expiration %s is refused',
    async (text) => {
      expect(await call('POST', `/databases/lasting/auth/tokens?expiration=${text}`)).toMatchObject({
        status: 400,
        body: { error: 'Invalid expiration format' },
      })
    },
  )

  test('that has expired is refused by sqld', async () => {
    const { hostname } = await tenant('expired')
    const token = await oracle.token('expired', { expiresAt: Math.floor(Date.now() / 1000) - 120 })
    expect(await query(hostname, token)).toMatchObject({
      status: 401,
      result: { error: 'Unauthorized: `The JWT has expired`' },
    })
  })

  test('of an earlier database of the same name is refused', async () => {
    const { hostname, token } = await tenant('reborn')
    await call('DELETE', '/databases/reborn')
    expect((await query(hostname, token)).status).toBe(404)
    const second = await tenant('reborn')
    expect(second.hostname).toBe(hostname)
    expect((await query(hostname, token)).status).toBe(401)
    expect((await query(hostname, second.token)).status).toBe(200)
  })

  test('for a database that is not there is not minted', async () => {
    expect((await call('POST', '/databases/absent/auth/tokens')).status).toBe(404)
  })

  test('may attach the databases it names, once the other allows it', async () => {
    const { hostname } = await tenant('attaching')
    const { hostname: other, token: otherToken } = await tenant('attached')
    await query(other, otherToken, 'create table shared (a)')
    await call('PATCH', '/databases/attached/configuration', { allow_attach: true })
    const permissions = { read_attach: { databases: ['attached'] } }
    const { body } = await call('POST', '/databases/attaching/auth/tokens', { permissions })
    expect(decodeJwt(body.jwt)).toMatchObject({
      p: { rw: { ns: ['attaching-acme'] }, roa: { ns: ['attached-acme'] } },
    })
    expect((await query(hostname, body.jwt)).status).toBe(200)
  })
})

describe('rotation', () => {
  test("ends every earlier token of the database and its group's, answers nothing, and spares the others", async () => {
    const { hostname, token } = await tenant('rotated')
    const neighbour = await tenant('neighbour')
    const group = (await call('POST', '/groups/default/auth/tokens')).body.jwt
    expect(await call('POST', '/databases/rotated/auth/rotate')).toMatchObject({
      status: 200,
      body: undefined,
    })
    expect((await query(hostname, token)).status).toBe(401)
    expect((await query(hostname, group)).status).toBe(401)
    expect((await query(neighbour.hostname, group)).status).toBe(401)
    expect((await query(neighbour.hostname, neighbour.token)).status).toBe(200)
    expect((await query(hostname, await mint('rotated'))).status).toBe(200)
  })

  test("ends every token of the group's databases when the option says so", async () => {
    const strict = await startTursoEmulator({ rotation: 'group' })
    try {
      const around = helpers(strict)
      const one = await around.tenant('one')
      const two = await around.tenant('two')
      await around.call('POST', '/databases/one/auth/rotate')
      expect((await around.query(one.hostname, one.token)).status).toBe(401)
      expect((await around.query(two.hostname, two.token)).status).toBe(401)
    } finally {
      await strict.close()
    }
  })
})

describe('a group token', () => {
  test('opens every database of its group, also later ones, and no other', async () => {
    await call('POST', '/groups', { name: 'team', location: 'aws-us-west-2' })
    const before = await oracle.create('before', { group: 'team' })
    const { body } = await call('POST', '/groups/team/auth/tokens?expiration=1h')
    const after = await oracle.create('after', { group: 'team' })
    const other = await oracle.create('other')
    expect(before.Hostname).toBe('before-acme.aws-us-west-2.turso.io')
    expect((await query(before.Hostname, body.jwt)).status).toBe(200)
    expect((await query(after.Hostname, body.jwt)).status).toBe(200)
    expect((await query(other.Hostname, body.jwt)).status).toBe(401)
  })

  test('ends with a rotation of the group, and so do the tokens of its databases', async () => {
    await call('POST', '/groups', { name: 'ended', location: 'aws-us-east-1' })
    const { Hostname } = await oracle.create('member', { group: 'ended' })
    const { body } = await call('POST', '/groups/ended/auth/tokens')
    const own = await mint('member')
    expect((await query(Hostname, body.jwt)).status).toBe(200)
    expect((await query(Hostname, own)).status).toBe(200)
    expect((await call('POST', '/groups/ended/auth/rotate')).status).toBe(200)
    expect((await query(Hostname, body.jwt)).status).toBe(401)
    expect((await query(Hostname, own)).status).toBe(401)
  })
})
