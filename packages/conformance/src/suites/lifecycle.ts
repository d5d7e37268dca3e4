import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { type ConformanceCase, defineCases } from '../case.ts'
import { expectError, expectSuccess } from '../support/expect-error.ts'
import { assertAbsent, assertReady, readStamp } from '../support/identity-stamp.ts'
import { CREATE_NOTES, NOTES, readNotes, SELECT_NOTES, toBodies, writeNote } from '../support/notes.ts'

/** From provision to deprovision and back, one call after the other. */
export const lifecycle: readonly ConformanceCase[] = defineCases('lifecycle', [
  {
    name: 'reports tenant_not_found for an unknown tenant and creates nothing',
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      await expectError('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_found')
      await expectError('open', () => factory.open('acme'), 'tenant_not_found')
      await expectError('migrate', () => factory.migrate('acme'), 'tenant_not_found')
      deepEqual(await t.oracle.listDatabases(t.prefix), [])
      await factory.provision('acme')
      await expectSuccess('getAdapters after provision', () => factory.getAdapters('acme'))
    },
  },
  {
    name: "provisions one ready database that carries the tenant's stamp",
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      await factory.provision('acme')
      deepEqual(await t.oracle.listDatabases(t.prefix), [await t.getDatabaseName('acme')])
      await assertReady(t, 'acme')
      const { id, generation, state, adapters } = await factory.open('acme')
      deepEqual({ id, generation, state }, { id: 'acme', generation: 1, state: 'active' })
      await writeNote(adapters.db, 1, 'hello')
      deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName('acme'), SELECT_NOTES)), ['hello'])
    },
  },
  {
    name: 'keeps stamp and data when a tenant is provisioned again, in any process',
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      await factory.provision('acme')
      const { uid } = await assertReady(t, 'acme')
      await writeNote((await factory.getAdapters('acme')).db, 1, 'kept')
      await factory.provision('acme')
      const other = t.createFactory({ migrations: NOTES }, t.createProvider())
      await other.provision('acme')
      equal((await assertReady(t, 'acme')).uid, uid, 'the stamp was replaced')
      for (const each of [factory, other])
        deepEqual(await readNotes((await each.getAdapters('acme')).db), ['kept'])
      deepEqual(await t.oracle.listDatabases(t.prefix), [await t.getDatabaseName('acme')])
    },
  },
  {
    name: 'deprovisions a tenant without a leftover, and succeeds for a tenant without a database',
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      const serving = t.createFactory({}, t.createProvider())
      await factory.provision('acme')
      await factory.provision('acme2')
      await factory.getAdapters('acme')
      await serving.getAdapters('acme')
      await factory.deprovision('acme')
      await assertAbsent(t, 'acme')
      await assertReady(t, 'acme2', 'another tenant')
      await expectSuccess('a second deprovision', () => factory.deprovision('acme'))
      await expectSuccess('deprovision of what never was', () => factory.deprovision('never'))
      await expectSuccess('deprovision in another process', () =>
        t.createFactory({}, t.createProvider()).deprovision('acme'),
      )
      await expectError('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_found')
      serving.release('acme')
      await expectError(
        'getAdapters in another process',
        () => serving.getAdapters('acme'),
        'tenant_not_found',
      )
    },
  },
  {
    name: 'provisions an empty database with a new stamp after a deprovision',
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      const other = t.createFactory({ migrations: NOTES }, t.createProvider())
      await factory.provision('acme')
      await writeNote((await factory.getAdapters('acme')).db, 1, 'of the first')
      const first = await assertReady(t, 'acme')
      await other.getAdapters('acme')
      for (const again of [factory, other]) {
        await factory.deprovision('acme')
        await again.provision('acme')
        notEqual((await assertReady(t, 'acme')).uid, first.uid, 'the stamp of the first came back')
        other.release('acme')
        factory.release('acme')
        for (const each of [factory, other, t.createFactory({}, t.createProvider())])
          deepEqual(await readNotes((await each.getAdapters('acme')).db), [], 'rows of the first came back')
        await writeNote((await other.getAdapters('acme')).db, 1, 'works')
        deepEqual(await readNotes((await factory.getAdapters('acme')).db), ['works'])
      }
    },
  },
  {
    name: 'rejects an unstamped database that has tables with name_taken, and leaves it unchanged',
    async run(t) {
      const name = await t.getDatabaseName('acme')
      await t.provider.create(name, t.call)
      await t.oracle.execute(name, CREATE_NOTES)
      await t.oracle.execute(name, "INSERT INTO notes (id, body) VALUES (1, 'not ours')")
      for (const provider of [t.provider, t.createProvider()]) {
        const factory = t.createFactory({ migrations: { '0001_x': 'CREATE TABLE x (id INTEGER)' } }, provider)
        await expectError('provision', () => factory.provision('acme'), 'name_taken')
        await expectError('deprovision', () => factory.deprovision('acme'), 'name_taken')
        await expectError('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_ready')
      }
      deepEqual(toBodies(await t.oracle.query(name, SELECT_NOTES)), ['not ours'])
    },
  },
  {
    name: "neither takes over nor deletes a database that carries another tenant's stamp",
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      await factory.provision('acme')
      const name = await t.getDatabaseName('acme')
      await t.oracle.execute(name, "UPDATE tenantry_identity SET tenant_id = 'other'")
      for (const each of [factory, t.createFactory({ migrations: NOTES }, t.createProvider())]) {
        await expectError('provision', () => each.provision('acme'), 'wrong_tenant')
        await expectError('deprovision', () => each.deprovision('acme'), 'wrong_tenant')
        await expectError('migrate', () => each.migrate('acme'), 'wrong_tenant')
      }
      equal((await readStamp(t, name)).tenant_id, 'other')
    },
  },
  {
    name: 'takes over an empty database that a crash left behind',
    async run(t) {
      await t.provider.create(await t.getDatabaseName('acme'), t.call)
      const factory = t.createFactory({ migrations: NOTES }, t.createProvider())
      await expectError('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_ready')
      await factory.provision('acme')
      await assertReady(t, 'acme')
      await t.provider.create(await t.getDatabaseName('acme2'), t.call)
      await factory.deprovision('acme2')
      await assertAbsent(t, 'acme2')
    },
  },
  {
    name: 'does not serve a tenant until its seed has succeeded, and never seeds a ready tenant again',
    async run(t) {
      let seeds = 0
      let failing = true
      const factory = t.createFactory({
        migrations: NOTES,
        async seed({ db }, { id }) {
          seeds++
          await db.deleteFrom('notes').execute()
          await writeNote(db, 1, `seeded ${id}`)
          if (failing) throw new Error('the seed failed')
        },
      })
      await expectError('provision', () => factory.provision('acme'))
      const tried = seeds
      ok(tried >= 1, 'the seed was not run')
      await expectError('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_ready')
      await expectError(
        'another process',
        () => t.createFactory({}, t.createProvider()).getAdapters('acme'),
        'tenant_not_ready',
      )
      failing = false
      await factory.provision('acme')
      equal(seeds, tried + 1)
      deepEqual(await readNotes((await factory.getAdapters('acme')).db), ['seeded acme'])
      await factory.provision('acme')
      equal(seeds, tried + 1, 'a ready tenant was seeded again')
    },
  },
  {
    name: "accepts unbound calls of the factory's methods, and rejects them with closed after close",
    async run(t) {
      const { getAdapters, provision, deprovision, open, migrate, release, close } = t.createFactory(
        { migrations: NOTES },
        t.createProvider(),
      )
      await provision('acme')
      await getAdapters('acme')
      await open('acme')
      deepEqual(await migrate('acme'), [])
      release('acme')
      await deprovision('acme')
      await provision('acme')
      await close()
      await expectSuccess('a second close', close)
      for (const method of [getAdapters, provision, deprovision, open, migrate])
        await expectError('after close', () => method('acme'), 'closed')
      await assertReady(t, 'acme')
    },
  },
])
