import Cloudflare from 'cloudflare'
import { describe, expect, test } from 'vitest'
import { emulatorForTests, scriptForm } from './support.ts'

const emulator = await emulatorForTests()
const { accountId: account_id, apiToken, baseUrl: baseURL, faults, oracle } = emulator
const client = new Cloudflare({ apiToken, apiEmail: null, apiKey: null, baseURL, maxRetries: 0 })
const { database } = client.d1
const runSql = async (id: string, body: { sql: string; params?: string[] }): Promise<any> =>
  (await database.query(id, { account_id, ...body })).result

describe('the official SDK', () => {
  test('creates, finds, updates, lists and deletes databases', async () => {
    const created = await database.create({ account_id, name: 'by-sdk', primary_location_hint: 'enam' })
    const uuid = created.uuid ?? ''
    expect(created).toMatchObject({ name: 'by-sdk', version: 'production', num_tables: 0 })
    expect(await database.get('by-sdk', { account_id })).toMatchObject({ uuid })
    const mode = { account_id, read_replication: { mode: 'auto' } } as const
    expect(await database.update(uuid, mode)).toMatchObject({ read_replication: { mode: 'auto' } })
    expect(await database.edit(uuid, mode)).toMatchObject({ uuid })
    for (let index = 0; index < 25; index += 1) await oracle.create(`listed-${index}`)
    const names: (string | undefined)[] = []
    for await (const { name } of database.list({ account_id, per_page: 10 })) names.push(name)
    expect(names).toHaveLength(26)
    expect(await database.delete(uuid, { account_id })).toBeNull()
    await expect(database.get(uuid, { account_id })).rejects.toMatchObject({
      status: 404,
      errors: [{ code: 7404 }],
    })
  })

  test("runs SQL in both forms and sees SQLite's refusals", async () => {
    const { uuid = '' } = await database.create({ account_id, name: 'sql' })
    await runSql(uuid, { sql: 'create table t (a)' })
    await runSql(uuid, { sql: 'insert into t values (?)', params: ['x'] })
    expect((await runSql(uuid, { sql: 'select a from t' }))[0].results).toEqual([{ a: 'x' }])
    const raw: any = await database.raw(uuid, { account_id, sql: 'select a from t' })
    expect(raw.result[0].results).toEqual({ columns: ['a'], rows: [['x']] })
    const refused = database.query(uuid, { account_id, sql: 'selec' })
    await expect(refused).rejects.toMatchObject({ status: 400, errors: [{ code: 7500 }] })
  })

  test('travels in time and exports', async () => {
    const { uuid = '' } = await database.create({ account_id, name: 'travelled' })
    const { bookmark = '' } = await database.timeTravel.getBookmark(uuid, { account_id })
    await runSql(uuid, { sql: 'create table t (a)' })
    const restored = await database.timeTravel.restore(uuid, { account_id, bookmark })
    expect(restored.previous_bookmark).toBeTypeOf('string')
    expect(await database.get(uuid, { account_id })).toMatchObject({ num_tables: 0 })
    const body = { account_id, output_format: 'polling' } as const
    const begun = await database.export(uuid, body)
    const current_bookmark = begun.at_bookmark ?? ''
    expect(await database.export(uuid, { ...body, current_bookmark })).toMatchObject({ status: 'complete' })
  })

  test('gets a "name taken" error when it repeats a create whose reply was lost', async () => {
    const retrying = client.withOptions({ maxRetries: 1 })
    faults.dropReply({ operation: 'databases.create', database: 'repeated' })
    const repeated = retrying.d1.database.create({ account_id, name: 'repeated' })
    await expect(repeated).rejects.toMatchObject({ status: 400, errors: [{ code: 7502 }] })
    expect(oracle.databases().filter(({ name }) => name === 'repeated')).toHaveLength(1)
  })

  test('reads a `success: false` with status 200 as a result of null', async () => {
    faults.alter({
      operation: 'databases.create',
      alter: (body) => ({ ...body, success: false, result: null }),
    })
    expect(await database.create({ account_id, name: 'unsuccessful' })).toBeNull()
  })

  test('uploads a script by hand, because its own method sends a form that the service refuses', async () => {
    const { uuid } = await database.create({ account_id, name: 'scripted' })
    const { namespaces } = client.workersForPlatforms.dispatch
    await namespaces.create({ account_id, name: 'sdk' })
    const code = 'export default { fetch: () => new Response("by hand") }'
    const metadata = { bindings: [{ type: 'd1' as const, name: 'DB', database_id: uuid ?? '' }] }
    await client.put(`/accounts/${account_id}/workers/dispatch/namespaces/sdk/scripts/s`, {
      body: scriptForm(code, metadata),
    })
    expect(await (await emulator.dispatcher('sdk').get('s').fetch('https://x.invalid/')).text()).toBe(
      'by hand',
    )
    const own = namespaces.scripts.update('own', {
      ...{ account_id, dispatch_namespace: 'sdk', metadata: { main_module: 'worker.mjs', ...metadata } },
      files: [new File([code], 'worker.mjs', { type: 'application/javascript+module' })],
    } as never)
    await expect(own).rejects.toMatchObject({
      status: expect.toSatisfy((status) => status === 400 || status === 415),
    })
    expect(
      await namespaces.scripts.delete('s', { account_id, dispatch_namespace: 'sdk', force: true }),
    ).toBeNull()
    expect(oracle.scripts()).toEqual([])
  })
})
