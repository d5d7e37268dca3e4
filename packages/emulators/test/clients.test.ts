import { readFile } from 'node:fs/promises'
import { createClient as createLibsql } from '@libsql/client/web'
import { createClient as createPlatform } from '@tursodatabase/api'
import { describe, expect, test } from 'vitest'
import { tursoEmulatorFetch, tursoEmulatorUrl } from '../src/client.ts'
import { emulatorForTests } from './support.ts'

const turso = await emulatorForTests()
const { url, organization, apiToken } = turso

describe('the official platform client', () => {
  const platform = createPlatform({ org: organization, token: apiToken, baseUrl: `${url}/v1/` })

  test('creates, finds, lists and deletes a database', async () => {
    const created = await platform.databases.create('by-client', { group: 'default' })
    expect(created).toMatchObject({ name: 'by-client', hostname: 'by-client-acme.aws-us-east-1.turso.io' })
    expect(await platform.databases.get('by-client')).toMatchObject({ id: created.id, group: 'default' })
    expect((await platform.databases.list()).map(({ name }) => name)).toContain('by-client')
    await platform.databases.delete('by-client')
    expect(await turso.oracle.exists('by-client')).toBe(false)
    await expect(platform.databases.get('by-client')).rejects.toMatchObject({ status: 404 })
  })

  test("reports a taken name with the live service's message", async () => {
    await platform.databases.create('taken', { group: 'default' })
    await expect(platform.databases.create('taken', { group: 'default' })).rejects.toMatchObject({
      name: 'TursoClientError',
      status: 400,
      message: 'database with same name already exists',
    })
  })

  test('mints a token that opens the database', async () => {
    const { hostname } = await platform.databases.create('minted', { group: 'default' })
    const { jwt } = await platform.databases.createToken('minted', {
      expiration: '1h',
      authorization: 'read-only',
    })
    expect((await turso.query(hostname, jwt)).status).toBe(200)
    expect((await turso.query(hostname, jwt, 'create table t (a)')).status).toBe(403)
  })

  test('fails on a rotation that worked, because it wants JSON where the service sends nothing', async () => {
    const { hostname } = await platform.databases.create('rotating', { group: 'default' })
    const { jwt } = await platform.databases.createToken('rotating')
    await expect(platform.databases.rotateTokens('rotating')).rejects.toThrow(SyntaxError)
    expect((await turso.query(hostname, jwt)).status).toBe(401)
  })

  test('reads instances, usage, groups and locations', async () => {
    await platform.databases.create('read', { group: 'default' })
    expect(await platform.databases.listInstances('read')).toMatchObject([{ type: 'primary' }])
    expect(await platform.databases.usage('read')).toMatchObject({ total: { rows_read: 0 } })
    expect((await platform.groups.list()).map(({ name }) => name)).toContain('default')
    expect(await platform.locations.list()).toContainEqual({
      code: 'aws-eu-west-1',
      description: 'AWS EU West (Ireland)',
    })
  })
})

describe.each([
  ["the emulator's own fetch", turso.fetch],
  ['the fetch for Workers', tursoEmulatorFetch(url)],
])('the official libSQL client through %s', (title, fetch) => {
  const open = async (name: string) => {
    const tenant = await turso.tenant(`${name}-${title.length}`)
    return { ...tenant, client: createLibsql({ url: tenant.url, authToken: tenant.token, fetch }) }
  }

  test('runs statements, batches and interactive transactions', async () => {
    const { client, name } = await open('runs')
    await client.execute('create table notes (id integer primary key, text text unique)')
    await client.batch(
      [
        { sql: 'insert into notes (text) values (?)', args: ['one'] },
        { sql: 'insert into notes (text) values (?)', args: ['two'] },
      ],
      'write',
    )
    const transaction = await client.transaction('write')
    await transaction.execute({ sql: 'insert into notes (text) values (?)', args: ['undone'] })
    await transaction.rollback()
    const committed = await client.transaction('write')
    await committed.execute({ sql: 'insert into notes (text) values (?)', args: ['three'] })
    await committed.commit()
    const { rows } = await client.execute('select text from notes order by id')
    expect(rows.map(({ text }) => text)).toEqual(['one', 'two', 'three'])
    expect(await turso.oracle.execute(name, 'select count(*) as n from notes')).toEqual([{ n: 3 }])
    client.close()
  })

  test("gets SQLite's error codes and HTTP's refusals", async () => {
    const { client, url: address } = await open('errs')
    await client.execute('create table t (a unique)')
    await client.execute('insert into t values (1)')
    const again = client.execute('insert into t values (1)')
    await expect(again).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT' })
    const unauthorized = createLibsql({ url: address, authToken: turso.apiToken, fetch })
    await expect(unauthorized.execute('select 1')).rejects.toMatchObject({
      code: 'SERVER_ERROR',
      cause: { status: 401 },
    })
    client.close()
  })
})

describe('where requests go', () => {
  test('a request for the real platform reaches the emulator', async () => {
    const headers = { authorization: `Bearer ${apiToken}` }
    const address = `https://api.turso.tech/v1/organizations/${organization}/groups`
    for (const fetch of [turso.fetch, tursoEmulatorFetch(url)]) {
      const response = await fetch(new Request(address, { headers }))
      expect(response.status).toBe(200)
    }
  })

  test('a foreign host is refused and recorded', async () => {
    await expect(turso.fetch('https://example.com/secret?token=x')).rejects.toThrow(/example\.com/)
    expect(turso.requests.splice(0)).toMatchObject([
      { plane: 'foreign', host: 'example.com', path: '/secret', status: undefined },
    ])
  })

  test('a guessed hostname is foreign, also through the fetch for Workers', async () => {
    await turso.oracle.create('guessed')
    const guess = 'https://guessed-acme.turso.io/v2'
    await expect(turso.fetch(guess)).rejects.toThrow('guessed-acme.turso.io')
    expect((await tursoEmulatorFetch(url)(guess)).status).toBe(404)
    expect(turso.requests.splice(0).map(({ plane }) => plane)).toEqual(['foreign', 'foreign'])
  })

  test('a database answers on its own hostname only', async () => {
    const { token } = await turso.tenant('placed')
    const { status } = await turso.query('placed-acme.aws-eu-west-1.turso.io', token)
    expect(status).toBe(404)
  })

  test('the fetch for Workers leaves other hosts to the fetch below it', async () => {
    const seen: unknown[] = []
    const below = tursoEmulatorFetch('http://emulator.test/', async (input) => {
      seen.push(input instanceof Request ? input.url : input)
      return new Response()
    })
    await below('https://example.com/a')
    await below('https://one-acme.aws-us-east-1.turso.io/v2/pipeline?x=1')
    await below(new Request('https://api.turso.tech/v1/locations'))
    expect(seen).toEqual([
      'https://example.com/a',
      'http://emulator.test/_db/one-acme.aws-us-east-1.turso.io/v2/pipeline?x=1',
      'http://emulator.test/v1/locations',
    ])
    expect(tursoEmulatorUrl('http://emulator.test', 'https://turso.io.evil.test/')).toBeUndefined()
  })

  test('the entry for Workers imports nothing', async () => {
    const source = await readFile(new URL('../src/client.ts', import.meta.url), 'utf8')
    expect(source).toContain('export function tursoEmulatorFetch')
    expect(source).not.toMatch(/^import|\bimport\(|\brequire\(|^export .* from/m)
  })

  test('the log holds no token', async () => {
    const { hostname, token } = await turso.tenant('logged')
    await turso.query(hostname, token)
    const log = JSON.stringify(turso.requests)
    expect(log).toContain('/databases/logged/auth/tokens')
    expect(log).not.toContain(token)
    expect(log).not.toContain(apiToken)
    expect(turso.requests.map(({ operation, database, status }) => [operation, database, status])).toEqual([
      ['databases.create', 'logged', 200],
      ['tokens.create', 'logged', 200],
      ['data', 'logged', 200],
    ])
  })
})
