import { describe, expect, test } from 'vitest'
import { maxNameLength } from '../src/index.ts'
import { emulatorForTests } from './support.ts'

const turso = await emulatorForTests()
const { call, oracle } = turso

describe('creating a database', () => {
  test('answers its id, hostname and name, and sqld has it', async () => {
    const { status, body } = await call('POST', '/databases', { name: 'first', group: 'default' })
    expect(status).toBe(200)
    expect(body.database).toEqual({
      DbId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      Hostname: 'first-acme.aws-us-east-1.turso.io',
      Name: 'first',
    })
    expect(await oracle.exists('first')).toBe(true)
    expect(oracle.databases()).toContainEqual({ ...body.database, group: 'default' })
  })

  test('a group must be named and exist', async () => {
    const refusal = { status: 400, body: { error: 'group not found' } }
    expect(await call('POST', '/databases', { name: 'groupless' })).toMatchObject(refusal)
    expect(await call('POST', '/databases', { name: 'groupless', group: 'absent' })).toMatchObject(refusal)
    expect(await oracle.exists('groupless')).toBe(false)
  })

  test('a name fits one DNS label together with the organization, and not one character more', async () => {
    const longest = 'n'.repeat(62 - 'acme'.length)
    expect(maxNameLength('acme')).toBe(longest.length)
    const created = await call('POST', '/databases', { name: longest, group: 'default' })
    expect(created.body.database.Hostname.split('.')[0]).toHaveLength(63)
    expect(await call('POST', '/databases', { name: `${longest}n`, group: 'default' })).toMatchObject({
      status: 400,
      body: { error: 'invalid database name: name must contain between 1 and 58 characters' },
    })
  })

  test.each(['', 'Upper', 'under_score', 'dot.ted', 'sp ace', '-dash', 'ü', 7, null])(
    'the name %j is refused',
    async (name) => {
      const { status, body } = await call('POST', '/databases', { name, group: 'default' })
      expect(status).toBe(400)
      expect(body.error).toMatch(/^invalid database name: /)
    },
  )

  test('two concurrent requests create one database', async () => {
    const input = { name: 'raced', group: 'default' }
    const answers = await Promise.all([call('POST', '/databases', input), call('POST', '/databases', input)])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400])
    expect((await oracle.namespaces()).filter((name) => name === 'raced-acme')).toHaveLength(1)
  })

  test('a seed copies another database, which stays apart afterwards', async () => {
    await oracle.create('template')
    await oracle.execute('template', 'create table notes (text)')
    await oracle.execute('template', 'insert into notes values (?)', ['from the template'])
    const seed = { type: 'database', name: 'template' }
    expect((await call('POST', '/databases', { name: 'copy', group: 'default', seed })).status).toBe(200)
    await oracle.execute('copy', 'insert into notes values (?)', ['its own'])
    expect(await oracle.execute('copy', 'select text from notes')).toHaveLength(2)
    expect(await oracle.execute('template', 'select text from notes')).toEqual([
      { text: 'from the template' },
    ])
    const { body } = await call('GET', '/databases/copy')
    expect(body.database.parent).toMatchObject({ name: 'template' })
  })

  test('a seed that does not exist is refused, and one that is not emulated says so', async () => {
    const create = (seed: unknown) => call('POST', '/databases', { name: 'seeded', group: 'default', seed })
    expect((await create({ type: 'database', name: 'absent' })).status).toBe(400)
    expect((await create({ type: 'database_upload' })).status).toBe(501)
    expect(await oracle.exists('seeded')).toBe(false)
  })
})

describe('retrieving, listing and deleting', () => {
  test('retrieve shows the details, and 404 names the missing database', async () => {
    await oracle.create('details')
    const { body } = await call('GET', '/databases/details')
    expect(body.database).toMatchObject({ Name: 'details', group: 'default', primaryRegion: 'aws-us-east-1' })
    expect(await call('GET', '/databases/absent')).toMatchObject({
      status: 404,
      body: { error: 'could not find database with name [absent]: record not found' },
    })
  })

  test('a list comes in pages that the cursor joins, filtered by group', async () => {
    await call('POST', '/groups', { name: 'paged', location: 'aws-eu-west-1' })
    for (const name of ['p1', 'p2', 'p3', 'p4', 'p5']) await oracle.create(name, { group: 'paged' })
    const names: string[] = []
    let cursor: string | null = ''
    let pages = 0
    while (cursor !== null) {
      const after: string = cursor === '' ? '' : `&cursor=${cursor}`
      const { body } = await call('GET', `/databases?group=paged&limit=2${after}`)
      names.push(...body.databases.map(({ Name }: { Name: string }) => Name))
      cursor = body.pagination.next
      pages += 1
    }
    expect(names).toEqual(['p1', 'p2', 'p3', 'p4', 'p5'])
    expect(pages).toBe(3)
    const everything = await call('GET', '/databases')
    expect(everything.body.pagination.next).toBeNull()
    expect(everything.body.databases.length).toBeGreaterThan(5)
  })

  test('a database is deleted once; the second time it is not found', async () => {
    await oracle.create('doomed')
    expect(await call('DELETE', '/databases/doomed')).toMatchObject({
      status: 200,
      body: { database: 'doomed' },
    })
    expect(await oracle.namespaces()).not.toContain('doomed-acme')
    expect((await call('DELETE', '/databases/doomed')).status).toBe(404)
  })

  test('a database of the same name later is another one, and empty', async () => {
    const { DbId } = await oracle.create('again')
    await oracle.execute('again', 'create table kept (a)')
    await call('DELETE', '/databases/again')
    const { body } = await call('POST', '/databases', { name: 'again', group: 'default' })
    expect(body.database.DbId).not.toBe(DbId)
    expect(await oracle.execute('again', "select name from sqlite_master where name = 'kept'")).toEqual([])
  })
})

describe('configuration', () => {
  test('blocked reads and writes are blocked by sqld, and come back', async () => {
    const { hostname, token } = await turso.tenant('blocked')
    await turso.query(hostname, token, 'create table t (a)')
    await call('PATCH', '/databases/blocked/configuration', { block_writes: true })
    const write = await turso.query(hostname, token, 'insert into t values (1)')
    expect(write.result).toMatchObject({ type: 'error', error: { code: 'BLOCKED' } })
    expect((await turso.query(hostname, token, 'select * from t')).result.type).toBe('ok')
    const { body } = await call('PATCH', '/databases/blocked/configuration', { block_reads: true })
    expect(body).toMatchObject({ block_reads: true, block_writes: true })
    expect((await turso.query(hostname, token, 'select * from t')).result.error.code).toBe('BLOCKED')
    await call('PATCH', '/databases/blocked/configuration', { block_reads: false, block_writes: false })
    expect((await turso.query(hostname, token, 'insert into t values (1)')).result.type).toBe('ok')
  })

  test('delete protection, on the database or its group, refuses a delete', async () => {
    await call('POST', '/groups', { name: 'safe', location: 'aws-us-east-1' })
    await oracle.create('guarded', { group: 'safe' })
    for (const path of ['/databases/guarded', '/groups/safe']) {
      await call('PATCH', `${path}/configuration`, { delete_protection: true })
      expect((await call('DELETE', '/databases/guarded')).status).toBe(403)
      expect((await call('DELETE', '/groups/safe')).status).toBe(403)
      await call('PATCH', `${path}/configuration`, { delete_protection: false })
    }
    expect(await oracle.exists('guarded')).toBe(true)
    expect((await call('DELETE', '/groups/safe')).status).toBe(200)
    expect(await oracle.exists('guarded')).toBe(false)
  })

  test('an absent field stays, and null clears a list', async () => {
    await oracle.create('listed')
    const path = '/databases/listed/configuration'
    await call('PATCH', path, { allowed_ips: ['203.0.113.7'], size_limit: '256mb' })
    const unchanged = await call('PATCH', path, { block_writes: false })
    expect(unchanged.body).toMatchObject({ allowed_ips: ['203.0.113.7'], size_limit: '256mb' })
    const cleared = await call('PATCH', path, { allowed_ips: null })
    expect(cleared.body).toMatchObject({ allowed_ips: [], size_limit: '256mb' })
  })
})

describe('who may ask', () => {
  test('no token and an unknown token are refused', async () => {
    const bare = await turso.fetch(`${turso.url}/v1/organizations/acme/databases`)
    expect(bare.status).toBe(401)
    expect(await bare.json()).toEqual({ error: 'unauthorized' })
    expect((await call('GET', '/databases', undefined, 'wrong')).status).toBe(401)
  })

  test('a SQL token is not a platform token', async () => {
    const { token } = await turso.tenant('mistaken')
    expect(await call('GET', '/databases', undefined, token)).toMatchObject({
      status: 401,
      body: { error: 'could not parse jwt id' },
    })
  })

  test('another organization is forbidden, also by a path that climbs out of its own', async () => {
    await oracle.create('target')
    expect((await call('GET', '/v1/organizations/other/databases')).status).toBe(403)
    expect((await call('DELETE', '/databases/../../other/databases/target')).status).toBe(403)
    expect(await oracle.exists('target')).toBe(true)
  })

  test('a group-scoped token does what its scopes allow in its own group', async () => {
    await call('POST', '/groups', { name: 'scoped', location: 'aws-us-east-1' })
    await oracle.create('outside')
    const token = await oracle.platformToken({ group: 'scoped', scopes: ['read', 'db:create'] })
    const create = (group: string) => call('POST', '/databases', { name: 'inside', group }, token)
    expect((await create('default')).status).toBe(403)
    expect((await create('scoped')).status).toBe(200)
    expect((await call('DELETE', '/databases/inside', undefined, token)).status).toBe(403)
    expect((await call('GET', '/databases/outside', undefined, token)).status).toBe(403)
    const list = await call('GET', '/databases', undefined, token)
    expect(list.body.databases.map(({ Name }: { Name: string }) => Name)).toEqual(['inside'])
  })
})
