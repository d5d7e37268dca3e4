import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { createPostgresSchemaFactory } from '../src/index.ts'
import { connectClient, createDatabase, type TestDatabase } from './database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop(), 60_000)

it('reports an idle connection that the server ends to onError, and serves the next query', async () => {
  const reported: string[] = []
  const { url: connection, secret } = database
  const factory = createPostgresSchemaFactory({
    ...{ connection, secret },
    onError: ({ code }, { operation }) => void reported.push(`${operation} ${code}`),
  })
  await factory.provision('acme')
  const { db } = await factory.getAdapters('acme')
  const admin = await connectClient(database.url)
  await admin.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  )
  await vi.waitFor(() => expect(new Set(reported)).toEqual(new Set(['connection provider_unavailable'])))
  await admin.end()
  await expect(db.introspection.getTables()).resolves.toBeInstanceOf(Array)
  await factory.close()
})
