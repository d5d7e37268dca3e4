import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type Relay, startRelay } from './relay.ts'
import { call, createWorld, type World } from './support.ts'

let relay: Relay
beforeAll(async () => {
  relay = await startRelay(inject('mysqlUrl'))
})
afterAll(() => relay?.close())

/**
 * Whether a statement makes the server look into every database there is, opening each table of a fleet: it asks
 * `information_schema` without naming one, or lists tables, triggers or the like.
 *
 * @see https://mariadb.com/kb/en/information-schema-tables/
 */
function looksEverywhere(text: string): boolean {
  if (!/information_schema/i.test(text)) return false
  const ofServer = /information_schema\s*\.\s*(?:processlist|global_variables|session_variables|schemata)\b/gi
  const named = /\b(?:table_schema|trigger_schema|routine_schema|index_schema|schema_name)\s*=\s*'[^'%]+'/gi
  const others = text.replace(ofServer, '').match(/information_schema/gi)?.length ?? 0
  return others > (text.match(named)?.length ?? 0)
}

it('a statement that looks everywhere is known as one', () => {
  expect(
    [
      'SELECT count(*) FROM information_schema.tables',
      "SELECT count(*) FROM `information_schema`.tables WHERE table_schema LIKE 'tenant_%'",
      "SELECT 1 FROM information_schema.tables WHERE table_schema = 'a' UNION SELECT 1 FROM INFORMATION_SCHEMA.COLUMNS",
    ].map(looksEverywhere),
  ).toEqual([true, true, true])
  expect(
    ["SELECT count(*) FROM information_schema.tables WHERE table_schema = 'a'", 'SELECT 1'].map(
      looksEverywhere,
    ),
  ).toEqual([false, false])
})

describe.each(['user', 'shared'] as const)('diagnose, %s', (isolation) => {
  let world: World
  beforeAll(() => {
    world = createWorld({ isolation })
  })
  afterAll(() => world?.end())

  it('asks information_schema only of a database it names, however many there are', async () => {
    const url = new URL(inject('mysqlUrl'))
    url.port = String(relay.port)
    const provider = world.another({ connection: url.href })
    for (const name of ['one', 'two', 'three']) {
      relay.texts()
      await world.open(name)
      const found = await provider.diagnose?.({ tenants: 1_000_000 }, call)
      expect(found?.join()).toContain('table_open_cache')
      const texts = relay.texts()
      expect(texts.filter((text) => /information_schema\.tables/.test(text))).toHaveLength(1)
      expect(texts.filter(looksEverywhere)).toEqual([])
    }
  })
})
