import { testProvider } from '@tenantry/conformance'
import { afterAll, beforeAll, describe } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { createHarness } from './harness.ts'
import { type PgBouncer, startPgBouncer, withoutPgBouncer } from './pgbouncer.ts'

if (withoutPgBouncer !== undefined) console.warn(`SKIPPED, the kit behind a pooler: ${withoutPgBouncer}`)

describe.skipIf(withoutPgBouncer !== undefined)('behind PgBouncer', () => {
  let database: TestDatabase
  let bouncer: PgBouncer
  beforeAll(async () => {
    database = await createDatabase()
    bouncer = await startPgBouncer(database.url, { size: 10 })
  })
  afterAll(async () => {
    await bouncer?.stop()
    await database?.drop()
  })

  testProvider('set_role through a transaction pooler', () => {
    const { host, port } = bouncer
    const harness = createHarness(database, {
      isolation: 'set_role',
      pooler: 'transaction',
      serve: { host, port },
    })
    // The connections of the pooler belong to no tenant.
    const { countConnections: _, ...rest } = harness
    return rest
  })
})
