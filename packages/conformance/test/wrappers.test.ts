import { deepEqual, equal, ok } from 'node:assert/strict'
import { createMemoryProvider, createMemoryServer } from '@tenantry/multi-tenancy/memory'
import { defineFactory } from '@tenantry/multi-tenancy/provider'
import { captureError, neverAborted } from '@tenantry/test-support'
import { describe, it } from 'vitest'
import { conformanceCases, recordCalls, withFaults } from '../src/index.ts'

const migrations = { '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY)' }

describe('the cases', () => {
  it('have distinct names', () => {
    const names = conformanceCases.map(({ suite, name }) => `${suite}: ${name}`)
    deepEqual(names, [...new Set(names)])
  })
})

describe('recordCalls', () => {
  it('records every call, including the calls of Kysely', async () => {
    const { provider, calls, count, clear } = recordCalls(createMemoryProvider())
    const factory = defineFactory(provider, { migrations })
    await factory.provision('acme')
    equal(count('create'), 1)
    ok(count('batch') > 0)
    clear()
    const { db } = await factory.getAdapters('acme')
    equal(count('connect'), 1)
    clear()
    await db.transaction().execute(async (trx) => {
      await trx.insertInto('notes').values({ id: 1 }).execute()
    })
    deepEqual(
      calls.map(({ member }) => member),
      ['kysely.begin', 'kysely.query', 'kysely.commit'],
    )
  })

  it('passes a rollback on to the database', async () => {
    const server = createMemoryServer()
    const { provider, count } = recordCalls(createMemoryProvider(server))
    const factory = defineFactory(provider, { migrations })
    await factory.provision('acme')
    const { db } = await factory.getAdapters('acme')
    const failed = db.transaction().execute(async (trx) => {
      await trx.insertInto('notes').values({ id: 1 }).execute()
      throw new Error('no')
    })
    await failed.catch(() => {})
    equal(count('kysely.rollback'), 1)
    deepEqual(await db.selectFrom('notes').selectAll().execute(), [])
  })
})

describe('withFaults', () => {
  const create = (each: { member: string }): boolean => each.member === 'create'

  it('fails before or after the call is sent', async () => {
    for (const [kind, there] of [
      ['before', 0],
      ['after', 1],
      ['fatal', 1],
    ] as const) {
      const server = createMemoryServer()
      const { provider, fired } = withFaults(createMemoryProvider(server), { kind, at: create })
      const { code } = await captureError(provider.create('tenant_a', neverAborted))
      equal(code, kind === 'fatal' ? 'provider_rejected' : 'provider_unavailable')
      equal(server.size, there, kind)
      equal(fired()?.member, 'create')
      await provider.create('tenant_a', neverAborted)
      equal(server.size, 1)
    }
  })

  it('ends a process: its calls never return and its transactions are rolled back', async () => {
    const server = createMemoryServer()
    const inner = createMemoryProvider(server)
    await defineFactory(inner, { migrations }).provision('acme')
    const { provider, died } = withFaults(inner, {
      kind: 'dies-before',
      at: (each) => each.member === 'kysely.commit',
    })
    const { db } = await defineFactory(provider).getAdapters('acme')
    let returned = false
    void db
      .transaction()
      .execute((trx) => trx.insertInto('notes').values({ id: 1 }).execute())
      .finally(() => {
        returned = true
      })
    await died
    void provider.find('tenant_acme', neverAborted).finally(() => {
      returned = true
    })
    const client = server.get('tenant_acme')
    ok(client !== undefined)
    deepEqual(await client.selectFrom('notes').selectAll().execute(), [])
    await new Promise((resolve) => setImmediate(resolve))
    equal(returned, false)
  })

  it('ends a process after the first statement of a batch that is not atomic', async () => {
    const server = createMemoryServer()
    const plain = createMemoryProvider(server)
    const inner = { ...plain, capabilities: { ...plain.capabilities, transactionalDdl: false } }
    const { provider, died } = withFaults(inner, { kind: 'dies-midway', at: 0 })
    const { locator } = await provider.create('tenant_a', neverAborted)
    const client = await provider.connect(
      { locator, purpose: 'manage', verify: async () => {} },
      neverAborted,
    )
    void provider.batch(client, [
      { sql: 'CREATE TABLE one (id INTEGER)' },
      { sql: 'CREATE TABLE two (id INTEGER)' },
    ])
    await died
    const rows = await plain.query(client, { sql: "SELECT name FROM sqlite_master WHERE type = 'table'" })
    deepEqual(
      rows.map(({ name }) => name),
      ['one'],
    )
  })
})
