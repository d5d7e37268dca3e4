import { deepEqual, equal, ok } from 'node:assert/strict'
import type { Locator } from '@tenantry/multi-tenancy'
import { type ConformanceCase, defineCases } from '../../case.ts'
import { expectMappedError, expectSuccess } from '../../support/expect-error.ts'
import { listAll } from '../../support/list-all.ts'
import { CREATE_NOTES, countTables, insertNote, SELECT_NOTES, toBodies } from '../../support/notes.ts'

/** `create`, `find`, `drop`, `list`, `connect` and `close`. */
export const contractDatabases: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'keeps the other providers working when one provider is closed',
    async run({ provider, createProvider, createHarness, call, prefix }) {
      const other = await createHarness()
      ok(
        other.provider !== provider && createProvider() !== provider,
        'the harness returned the same provider twice',
      )
      await other.provider.close()
      await createProvider().close()
      await expectSuccess('create after another provider was closed', () =>
        provider.create(`${prefix}a`, call),
      )
    },
  },
  {
    name: 'lets the oracle see exactly the databases that exist',
    async run({ provider, createProvider, oracle, call, prefix }) {
      deepEqual(await oracle.listDatabases(prefix), [], 'databases before the case has begun')
      await provider.create(`${prefix}a`, call)
      await createProvider().create(`${prefix}b`, call)
      deepEqual((await oracle.listDatabases(prefix)).sort(), [`${prefix}a`, `${prefix}b`])
      deepEqual(await oracle.listDatabases(`${prefix}b`), [`${prefix}b`])
    },
  },
  {
    name: 'reports a database as created the first time and as existing afterwards',
    async run({ provider, createProvider, oracle, call, prefix }) {
      equal((await provider.create(`${prefix}a`, call)).created, true, 'the first create')
      equal((await provider.create(`${prefix}a`, call)).created, false, 'the second create')
      equal((await createProvider().create(`${prefix}a`, call)).created, false, 'a create by another process')
      deepEqual(await oracle.listDatabases(prefix), [`${prefix}a`])
    },
  },
  {
    name: 'reaches a database through each of its locators, also after they were stored as JSON',
    async run(t) {
      const { provider, oracle, call, prefix } = t
      const name = `${prefix}a`
      const first = await provider.create(name, call)
      await t.open(`${prefix}b`)
      await oracle.execute(name, CREATE_NOTES)
      await oracle.execute(name, "INSERT INTO notes (id, body) VALUES (1, 'of a')")
      const again = await provider.create(name, call)
      const foundLocator = await provider.find(name, call)
      const listed = (await listAll(provider, name, t)).find((each) => each.name === name)?.locator
      for (const locator of [first.locator, again.locator, foundLocator, listed]) {
        ok(locator !== undefined, 'find or list does not return the database')
        const stored: Locator = JSON.parse(JSON.stringify(locator))
        deepEqual(stored, { ...locator }, 'the locator is not JSON')
        for (const over of [provider, t.createProvider()]) {
          const client = await over.connect(
            { locator: stored, purpose: 'manage', verify: async () => {} },
            call,
          )
          deepEqual(toBodies(await over.query(client, { sql: SELECT_NOTES })), ['of a'])
        }
      }
    },
  },
  {
    name: 'finds a database by its exact name only',
    async run({ provider, call, prefix }) {
      const name = `${prefix}ab-cd`
      equal(await provider.find(name, call), undefined, 'find before the database was created')
      await provider.create(name, call)
      ok((await provider.find(name, call)) !== undefined, 'find returned undefined for an existing database')
      const { separator } = provider.naming
      const others = [name.slice(0, -1), `${name}x`, prefix, name.slice(1), `${prefix}ab-ce`, `${prefix}ab`]
      if (separator === '_') others.push(`${prefix}ab_cd`, name.replace(prefix, `${prefix.slice(0, -1)}-`))
      for (const other of others) equal(await provider.find(other, call), undefined, `find of ${other}`)
      const upper = await provider.find(name.toUpperCase(), call).catch(() => undefined)
      equal(upper, undefined, 'find of the name in upper case')
    },
  },
  {
    name: 'keeps databases apart whose names differ in one character',
    async run({ provider, oracle, call, prefix }) {
      const names = ['a-b', 'axb', ...(provider.naming.separator === '_' ? ['a_b'] : [])].map(
        (end) => prefix + end,
      )
      for (const name of names) equal((await provider.create(name, call)).created, true, name)
      deepEqual((await oracle.listDatabases(prefix)).sort(), [...names].sort())
      for (const name of names) await oracle.execute(name, CREATE_NOTES)
      for (const [index, name] of names.entries()) {
        const locator = await provider.find(name, call)
        ok(locator !== undefined)
        const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
        await provider.batch(client, [insertNote(provider.capabilities.dialect, index, name)])
      }
      for (const name of names) deepEqual(toBodies(await oracle.query(name, SELECT_NOTES)), [name])
    },
  },
  {
    name: 'has removed the database, and no other, when drop resolves',
    async run({ provider, createProvider, oracle, call, prefix }) {
      const { locator } = await provider.create(`${prefix}a`, call)
      await provider.create(`${prefix}a2`, call)
      await provider.drop(locator, call)
      deepEqual(await oracle.listDatabases(prefix), [`${prefix}a2`])
      equal(await provider.find(`${prefix}a`, call), undefined, 'find after the drop')
      equal(
        await createProvider().find(`${prefix}a`, call),
        undefined,
        'find in another process after the drop',
      )
    },
  },
  {
    name: 'succeeds when it drops a database that no longer exists, in any process',
    async run({ provider, createProvider, oracle, call, prefix }) {
      const { locator } = await provider.create(`${prefix}a`, call)
      await provider.drop(locator, call)
      await expectSuccess('a second drop', () => provider.drop(locator, call))
      await expectSuccess('a drop by another process', () => createProvider().drop(locator, call))
      deepEqual(await oracle.listDatabases(prefix), [])
    },
  },
  {
    name: 'creates an empty database under the name of a dropped one',
    async run(t) {
      const { provider, oracle, dialect, call, prefix } = t
      const name = `${prefix}a`
      const { locator } = await provider.create(name, call)
      await provider.batch(await t.open(name), [{ sql: CREATE_NOTES }])
      await provider.drop(locator, call)
      equal((await provider.create(name, call)).created, true)
      const count = countTables(dialect, 'notes')
      equal(Number((await oracle.query(name, count))[0]?.tables), 0, 'tables that the oracle reads')
      const rows = await t.provider.query(await t.open(name), { sql: count })
      equal(Number(rows[0]?.tables), 0, 'tables that a new client reads')
    },
  },
  {
    name: 'rejects every use of a client whose database was dropped, and does not recreate the database',
    async run(t) {
      const { provider, oracle, call, prefix } = t
      const name = `${prefix}a`
      const client = await t.open(name)
      await provider.batch(client, [{ sql: CREATE_NOTES }])
      const locator = await provider.find(name, call)
      ok(locator !== undefined)
      await provider.drop(locator, call)
      const write = insertNote(t.dialect, 1, 'lost')
      await expectMappedError('a write to the dropped database', provider.mapError, () =>
        provider.batch(client, [write]),
      )
      await expectMappedError('a read of the dropped database', provider.mapError, () =>
        provider.query(client, { sql: SELECT_NOTES }),
      )
      deepEqual(await oracle.listDatabases(prefix), [])
    },
  },
  {
    name: 'rejects a connection to a database that no longer exists, and creates none',
    async run(t) {
      const { provider, oracle, call, prefix } = t
      await t.open(`${prefix}b`)
      const { locator } = await provider.create(`${prefix}a`, call)
      await provider.drop(locator, call)
      for (const over of [provider, t.createProvider()]) {
        await expectMappedError('connect and the first query', over.mapError, async () => {
          const client = await over.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
          return over.query(client, { sql: 'SELECT 1 AS one' })
        })
      }
      deepEqual(await oracle.listDatabases(prefix), [`${prefix}b`], 'databases after the failed connection')
    },
  },
  {
    name: 'lists every page of a prefix and no name outside it',
    async run(t) {
      const { provider, harness, call, prefix } = t
      const many = harness.multiPageCount ?? 12
      const inside = Array.from({ length: many }, (_, index) => `${prefix}in-${index}`)
      const outside = [`${prefix}out`, `${prefix}i`, `${prefix}xin-1`]
      if (provider.naming.separator === '_') outside.push(`${prefix}in_1`)
      for (const name of [...inside, ...outside]) await provider.create(name, call)
      const listed = (await listAll(provider, `${prefix}in-`, t)).map(({ name }) => name)
      deepEqual([...listed].sort(), [...inside].sort())
      deepEqual(await listAll(provider, `${prefix}none`, t), [], 'a prefix without databases')
      const locator = await provider.find(`${prefix}in-0`, call)
      if (locator !== undefined) await provider.drop(locator, call)
      equal((await listAll(provider, `${prefix}in-`, t)).length, many - 1, 'after a drop')
    },
  },
  {
    name: 'accepts unbound calls of its members and a second close',
    async run({ createProvider, call, prefix }) {
      const { create, find, list, connect, query, batch, kysely, drop, close, mapError } = createProvider()
      await expectSuccess('the members one after the other', async () => {
        const { locator } = await create(`${prefix}a`, call)
        ok((await find(`${prefix}a`, call)) !== undefined)
        equal((await list({ prefix }, call)).databases.length, 1)
        const client = await connect({ locator, purpose: 'manage', verify: async () => {} }, call)
        await batch(client, [{ sql: CREATE_NOTES }])
        deepEqual(await query(client, { sql: SELECT_NOTES }), [])
        deepEqual(await kysely(client).selectFrom('notes').selectAll().execute(), [])
        ok(mapError(new Error('unknown')) instanceof Error)
        await drop(locator, call)
        await close()
      })
      await expectSuccess('a second close', () => close())
    },
  },
])
