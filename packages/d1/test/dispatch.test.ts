import { createRedactor, TenancyError } from '@tenantry/multi-tenancy'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDispatchRung, deriveKey } from '../src/access/dispatch.ts'
import { databaseOfScript, scriptNameOf } from '../src/access/tenant-workers.ts'
import { createErrorMap } from '../src/errors.ts'
import type { D1Database } from '../src/index.ts'
import { type RunningDataWorker, startDataWorker } from './data-worker.ts'

const SECRET = 'a secret of the whole app, long enough'
const database = { name: 'tenant_acme', uuid: '51e7c314-456e-4167-b6c3-869ad188fc23' }
const { mapError } = createErrorMap(createRedactor())
let worker: RunningDataWorker
let asked: string[]

beforeAll(async () => {
  worker = await startDataWorker(database.uuid, await deriveKey(SECRET, database.uuid))
})
afterAll(() => worker?.stop())

/** The way through the Worker, whose platform knows it by its name. */
async function open(
  of: { name: string; uuid: string } = database,
  { secret = SECRET, known = scriptNameOf(database) }: { secret?: string; known?: string } = {},
): Promise<D1Database> {
  asked = []
  const dispatcher = {
    get: (name: string) => ({
      async fetch(input: string, init?: RequestInit): Promise<Response> {
        asked.push(name)
        if (name !== known) throw new Error('Worker not found.')
        return worker.fetch(input, init)
      },
    }),
  }
  const unused = (): never => {
    throw new Error('Not asked for here')
  }
  const rung = createDispatchRung(
    { kind: 'dispatch', namespace: 'tenants', secret, dispatcher },
    { api: { call: unused }, rest: unused, redactor: createRedactor(), requestTimeout: 10_000 },
  )
  const client = await rung.open(of, false)
  if (client === undefined) throw new Error('The way leads nowhere')
  return client
}

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'nothing was thrown',
    (error: unknown) => mapError(error).code,
  )

test('the Worker of a tenant is named after its database and says which one it is for', () => {
  const name = scriptNameOf(database)
  expect(name).toMatch(/^tenant_acme-[0-9a-z]{25}$/)
  expect(databaseOfScript(name)).toEqual(database)
  const last = { name: 'a-b', uuid: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }
  expect(databaseOfScript(scriptNameOf(last))).toEqual(last)
  for (const other of ['tenant_acme', `tenant_acme-${'z'.repeat(25)}`, 7, undefined]) {
    expect(databaseOfScript(other)).toBeUndefined()
  }
})

describe('the tenant Worker', () => {
  test('runs nothing without its key', async () => {
    const body = JSON.stringify({ database: database.uuid, statements: [{ sql: 'SELECT 1', params: [] }] })
    for (const authorization of [undefined, '', 'Bearer ', 'Bearer undefined', `Bearer ${SECRET}`]) {
      const headers = authorization === undefined ? {} : { authorization }
      const answer = await worker.fetch('https://x.invalid/', { method: 'POST', headers, body })
      expect(answer.status).toBe(401)
      expect(await answer.text()).not.toContain('results')
    }
  })

  test('does not answer for another database, even to its own key', async () => {
    const authorization = `Bearer ${await deriveKey(SECRET, database.uuid)}`
    const body = JSON.stringify({ database: 'another', statements: [{ sql: 'SELECT 1', params: [] }] })
    const answer = await worker.fetch('https://x.invalid/', {
      method: 'POST',
      headers: { authorization },
      body,
    })
    expect(answer.status).toBe(409)
    expect(await answer.text()).not.toContain('results')
  })

  test('is asked with a key of its database alone: another app’s secret opens nothing', async () => {
    const client = await open(database, { secret: 'the secret of another app, long enough' })
    expect(await codeOf(client.prepare('SELECT 1').all())).toBe('credentials_rejected')
  })

  test('of an earlier incarnation is not the Worker of the next', async () => {
    const next = { ...database, uuid: '00000000-456e-4167-b6c3-869ad188fc23' }
    const client = await open(next)
    await expect(client.prepare('SELECT 1').all()).rejects.toMatchObject({ codes: [10007] })
    expect(asked).toEqual([scriptNameOf(next)])
  })
})

test('a session’s bookmark travels with its statements', async () => {
  const client = await open()
  const session = client.withSession('first-primary')
  expect(session.getBookmark()).toBeNull()
  await session.prepare('CREATE TABLE IF NOT EXISTS seen (n INTEGER)').run()
  const first = session.getBookmark()
  await session.batch([session.prepare('INSERT INTO seen VALUES (1)')])
  const second = session.getBookmark()
  expect(first).toMatch(/^[\w-]+$/)
  expect(second).toMatch(/^[\w-]+$/)
  expect(second).not.toBe(first)
  const again = client.withSession(second ?? undefined)
  expect(again.getBookmark()).toBe(second)
  expect(await again.prepare('SELECT n FROM seen').raw()).toEqual([[1]])
})

test('an answer that is not the Worker’s own is no answer', async () => {
  const strange = { ...worker, fetch: async () => new Response('{"results":[]}') }
  const own = worker
  worker = strange
  try {
    expect(await codeOf((await open()).prepare('SELECT 1').all())).toBe('provider_unavailable')
  } finally {
    worker = own
  }
})

test('what cannot be done is refused with a code', async () => {
  await expect((await open()).dump()).rejects.toBeInstanceOf(TenancyError)
})
