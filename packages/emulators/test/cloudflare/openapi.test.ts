import { expect, test } from 'vitest'
import { operations } from '../../src/cloudflare/operations.ts'
import type { ApiOperation } from '../../src/index.ts'
import { createContract, divergences, documentFile, openApi } from './contract.ts'
import { emulatorForTests, scriptForm } from './support.ts'

if (openApi === undefined) {
  const message = `The contract tests were skipped: there is no ${documentFile}`
  // On a build server the document has to be there: a check that cannot run must not pass.
  if (process.env.CI === 'true') throw new Error(message)
  console.warn(message)
  test("every answer matches the vendor's document", ({ skip }) => skip(message))
} else {
  const contract = createContract(openApi)
  const { accountId, apiToken, baseUrl, call, faults, fetch, make } = await emulatorForTests({
    onExchange: contract.check,
  })

  test("every operation's answers match the vendor's document, by success and by refusal; every listed divergence occurs", async () => {
    const uuid = await make('checked')
    const absent = '00000000-0000-4000-8000-000000000000'
    const namespaces = '/workers/dispatch/namespaces'
    const bindings = [{ type: 'd1', name: 'DB', database_id: uuid }]
    const requests: [string, string, unknown?][] = [
      ['POST', '/d1/database', { name: 'checked' }],
      ['POST', '/d1/database', { name: 'eu', jurisdiction: 'eu' }],
      ['GET', '/d1/database'],
      ['GET', '/d1/database?page=0'],
      ['POST', namespaces, { name: 'created' }],
      ['POST', namespaces, {}],
      ['GET', namespaces],
      ['GET', '/tokens/verify'],
      ['GET', '/not-emulated'],
    ]
    for (const id of [uuid, absent]) {
      const database = `/d1/database/${id}`
      const polling = { output_format: 'polling' }
      requests.push(
        ['GET', database],
        ['PUT', database, { read_replication: { mode: 'auto' } }],
        ['PATCH', database, { read_replication: { mode: 'disabled' } }],
        ['PATCH', database, {}],
        ['POST', `${database}/query`, { sql: "create table t (a); insert into t values (null), (x'00')" }],
        ['POST', `${database}/query`, { sql: 'select * from t' }],
        ['POST', `${database}/raw`, { sql: 'select * from t' }],
        ['POST', `${database}/raw`, { sql: 'selec' }],
        ['GET', `${database}/time_travel/bookmark`],
        ['POST', `${database}/time_travel/restore`],
        ['POST', `${database}/import`, { action: 'init', etag: '0'.repeat(32) }],
        ['POST', `${database}/import`, { action: 'poll', current_bookmark: 'x' }],
        ['POST', `${database}/export`, polling],
        ['POST', `${database}/export`, {}],
      )
    }
    for (const name of ['created', 'absent']) {
      const script = `${namespaces}/${name}/scripts/s`
      requests.push(
        ['GET', `${namespaces}/${name}`],
        ['PUT', script, scriptForm('export default {}', { bindings, tags: ['a'] })],
        ['PUT', script, scriptForm('export default {}', { bindings: [{ type: 'r2_bucket', name: 'X' }] })],
        ['GET', script],
        ['GET', `${script}/bindings`],
        ['GET', `${script}/settings`],
        ['GET', `${namespaces}/${name}/scripts`],
        ['DELETE', script],
        ['DELETE', `${namespaces}/${name}`],
      )
    }
    requests.push(['DELETE', `/d1/database/${absent}`], ['DELETE', `/d1/database/${uuid}`])
    for (const request of requests) await call(...request)
    await call('GET', '/d1/database', undefined, 'wrong')
    const headers = { authorization: `Bearer ${apiToken}` }
    await fetch(`${baseUrl}/user/tokens/verify`, { headers })
    await fetch(`${baseUrl}/graphql`, { method: 'POST', headers, body: '{}' })
    await fetch(`${baseUrl}/accounts/${accountId}x/d1/database`, { headers })
    faults.fail({ operation: 'databases.list' })
    faults.rateLimit({ limit: 0 })
    for (let times = 0; times < 3; times += 1) await call('GET', '/d1/database')
    faults.clear()
    const fresh = await make('imported')
    const { bookmark } = (await call('GET', `/d1/database/${fresh}/time_travel/bookmark`)).body.result
    await call('POST', `/d1/database/${fresh}/time_travel/restore?bookmark=${bookmark}`)
    await imported(fresh)

    expect(contract.violations).toEqual([])
    const succeeded = Object.keys(operations).filter((operation) =>
      ['200', '202'].some((status) => contract.seen.has(`${operation} ${status}`)),
    )
    // The document has no GraphQL.
    expect([...succeeded, 'graphql'].sort()).toEqual(Object.keys(operations).sort())
    expect(divergences.filter((divergence) => !contract.used.has(divergence))).toEqual([])
  })

  async function imported(uuid: string): Promise<void> {
    const etag = '6e2b91d4a7b8c65ba7ac9a4b4a7d5a7f'
    const { upload_url } = (await call('POST', `/d1/database/${uuid}/import`, { action: 'init', etag })).body
      .result
    const sql = 'create table t (a);'
    const put = await fetch(upload_url, { method: 'PUT', body: sql })
    const own = (put.headers.get('etag') ?? '').replaceAll('"', '')
    const again = (await call('POST', `/d1/database/${uuid}/import`, { action: 'init', etag: own })).body
      .result
    await fetch(again.upload_url, { method: 'PUT', body: sql })
    const filename = again.filename
    await call('POST', `/d1/database/${uuid}/import`, { action: 'ingest', etag: own, filename })
    await call('POST', `/d1/database/${uuid}/import`, { action: 'poll', current_bookmark: 'x' })
  }

  test('an answer of another form is detected', () => {
    const strict = createContract(openApi)
    const check = (operation: ApiOperation, status: number, body: unknown): void =>
      strict.check({
        record: {
          ...{ method: 'POST', plane: 'api', path: '/here', operation, database: 'x', script: undefined },
          ...{ status, faults: [] },
        },
        ...{ status, contentType: 'application/json', body: Buffer.from(JSON.stringify(body)) },
      })
    const envelope = { success: true, errors: [], messages: [] }
    check('databases.create', 200, { ...envelope, result: { uuid: '1', name: 'n' } })
    expect(strict.violations).toEqual([])
    check('databases.create', 200, { ...envelope, result: { uuid: '1', nickname: 'n' } })
    check('databases.create', 200, { success: true, result: { uuid: '1' } })
    check('databases.create', 201, { ...envelope, result: {} })
    check('databases.create', 400, {
      success: false,
      errors: [{ code: 7, message: 'm' }],
      messages: [],
      result: null,
    })
    check('databases.create', 500, { error: 'no' })
    check('databases.get', 200, { ...envelope, result: { uuid: '1', created_in_region: 'X' } })
    expect(strict.violations).toHaveLength(6)
  })
}
