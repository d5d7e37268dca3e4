import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type Relay, startRelay } from './relay.ts'
import { call, createTestEnvironment, type TestEnvironment } from './support.ts'

let relay: Relay
beforeAll(async () => {
  relay = await startRelay(inject('mysqlUrl'))
})
afterAll(() => relay?.close())

/**
 * Whether the server opens each table of each database to answer a statement: the statement reads
 * `information_schema` without naming a database.
 *
 * @see https://mariadb.com/kb/en/information-schema-tables/
 */
function readsAllDatabases(text: string): boolean {
  if (!/information_schema/i.test(text)) return false
  const ofServer = /information_schema\s*\.\s*(?:processlist|global_variables|session_variables|schemata)\b/gi
  const named = /\b(?:table_schema|trigger_schema|routine_schema|index_schema|schema_name)\s*=\s*'[^'%]+'/gi
  const others = text.replace(ofServer, '').match(/information_schema/gi)?.length ?? 0
  return others > (text.match(named)?.length ?? 0)
}

it('the check for statements that read all databases recognizes them', () => {
  expect(
    [
      'SELECT count(*) FROM information_schema.tables',
      "SELECT count(*) FROM `information_schema`.tables WHERE table_schema LIKE 'tenant_%'",
      "SELECT 1 FROM information_schema.tables WHERE table_schema = 'a' UNION SELECT 1 FROM INFORMATION_SCHEMA.COLUMNS",
    ].map(readsAllDatabases),
  ).toEqual([true, true, true])
  expect(
    ["SELECT count(*) FROM information_schema.tables WHERE table_schema = 'a'", 'SELECT 1'].map(
      readsAllDatabases,
    ),
  ).toEqual([false, false])
})

describe.each(['user', 'shared'] as const)('diagnose, %s', (isolation) => {
  let environment: TestEnvironment
  beforeAll(() => {
    environment = createTestEnvironment({ isolation })
  })
  afterAll(() => environment?.end())

  it('queries information_schema for one named database, for any number of databases', async () => {
    const url = new URL(inject('mysqlUrl'))
    url.port = String(relay.port)
    const provider = environment.another({ connection: url.href })
    for (const name of ['one', 'two', 'three']) {
      relay.texts()
      await environment.open(name)
      const warnings = await provider.diagnose?.({ tenants: 1_000_000 }, call)
      expect(warnings?.join()).toContain('table_open_cache')
      const texts = relay.texts()
      expect(texts.filter((text) => /information_schema\.tables/.test(text))).toHaveLength(1)
      expect(texts.filter(readsAllDatabases)).toEqual([])
    }
  })
})
