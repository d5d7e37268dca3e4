import { deepEqual, equal, notEqual, ok } from 'node:assert/strict'
import { type ConformanceCase, suite } from '../case.ts'
import { refuses, succeeds } from '../support/expect-error.ts'
import { assertAbsent, assertReady, stampOf } from '../support/identity-stamp.ts'
import { bodies, CREATE_NOTES, NOTES, readNotes, SELECT_NOTES, writeNote } from '../support/notes.ts'

/** From provision to deprovision and back, one call after the other. */
export const lifecycle: readonly ConformanceCase[] = suite('lifecycle', [
  {
    name: 'a tenant that was never provisioned is not found, and asking makes nothing',
    async run(t) {
      const factory = t.factory({ migrations: NOTES })
      await refuses('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_found')
      await refuses('open', () => factory.open('acme'), 'tenant_not_found')
      await refuses('migrate', () => factory.migrate('acme'), 'tenant_not_found')
      deepEqual(await t.oracle.databases(t.prefix), [])
      await factory.provision('acme')
      await succeeds('getAdapters after provision', () => factory.getAdapters('acme'))
    },
  },
  {
    name: 'provision makes one database, stamped as the tenant’s and ready',
    async run(t) {
      const factory = t.factory({ migrations: NOTES })
      await factory.provision('acme')
      deepEqual(await t.oracle.databases(t.prefix), [await t.nameOf('acme')])
      await assertReady(t, 'acme')
      const { id, generation, state, adapters } = await factory.open('acme')
      deepEqual({ id, generation, state }, { id: 'acme', generation: 1, state: 'active' })
      await writeNote(adapters.db, 1, 'hello')
      deepEqual(bodies(await t.oracle.query(await t.nameOf('acme'), SELECT_NOTES)), ['hello'])
    },
  },
  {
    name: 'a second provision confirms: stamp and data stay, here and in another process',
    async run(t) {
      const factory = t.factory({ migrations: NOTES })
      await factory.provision('acme')
      const { uid } = await assertReady(t, 'acme')
      await writeNote((await factory.getAdapters('acme')).db, 1, 'kept')
      await factory.provision('acme')
      const other = t.factory({ migrations: NOTES }, t.another())
      await other.provision('acme')
      equal((await assertReady(t, 'acme')).uid, uid, 'the stamp was replaced')
      for (const each of [factory, other])
        deepEqual(await readNotes((await each.getAdapters('acme')).db), ['kept'])
      deepEqual(await t.oracle.databases(t.prefix), [await t.nameOf('acme')])
    },
  },
  {
    name: 'deprovision leaves nothing, and of what is absent it is done',
    async run(t) {
      const factory = t.factory({ migrations: NOTES })
      const serving = t.factory({}, t.another())
      await factory.provision('acme')
      await factory.provision('acme2')
      await factory.getAdapters('acme')
      await serving.getAdapters('acme')
      await factory.deprovision('acme')
      await assertAbsent(t, 'acme')
      await assertReady(t, 'acme2', 'another tenant')
      await succeeds('a second deprovision', () => factory.deprovision('acme'))
      await succeeds('deprovision of what never was', () => factory.deprovision('never'))
      await succeeds('deprovision in another process', () => t.factory({}, t.another()).deprovision('acme'))
      await refuses('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_found')
      serving.release('acme')
      await refuses('getAdapters in another process', () => serving.getAdapters('acme'), 'tenant_not_found')
    },
  },
  {
    name: 'provision after deprovision gives an empty database with a stamp of its own',
    async run(t) {
      const factory = t.factory({ migrations: NOTES })
      const other = t.factory({ migrations: NOTES }, t.another())
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
        for (const each of [factory, other, t.factory({}, t.another())])
          deepEqual(await readNotes((await each.getAdapters('acme')).db), [], 'rows of the first came back')
        await writeNote((await other.getAdapters('acme')).db, 1, 'works')
        deepEqual(await readNotes((await factory.getAdapters('acme')).db), ['works'])
      }
    },
  },
  {
    name: 'a database of that name with tables of someone else is refused with name_taken and stays as it is',
    async run(t) {
      const name = await t.nameOf('acme')
      await t.provider.create(name, t.call)
      await t.oracle.execute(name, CREATE_NOTES)
      await t.oracle.execute(name, "INSERT INTO notes (id, body) VALUES (1, 'not ours')")
      for (const provider of [t.provider, t.another()]) {
        const factory = t.factory({ migrations: { '0001_x': 'CREATE TABLE x (id INTEGER)' } }, provider)
        await refuses('provision', () => factory.provision('acme'), 'name_taken')
        await refuses('deprovision', () => factory.deprovision('acme'), 'name_taken')
        await refuses('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_ready')
      }
      deepEqual(bodies(await t.oracle.query(name, SELECT_NOTES)), ['not ours'])
    },
  },
  {
    name: 'a database that carries another tenant’s stamp is neither taken nor deleted',
    async run(t) {
      const factory = t.factory({ migrations: NOTES })
      await factory.provision('acme')
      const name = await t.nameOf('acme')
      await t.oracle.execute(name, "UPDATE tenantry_identity SET tenant_id = 'other'")
      for (const each of [factory, t.factory({ migrations: NOTES }, t.another())]) {
        await refuses('provision', () => each.provision('acme'), 'wrong_tenant')
        await refuses('deprovision', () => each.deprovision('acme'), 'wrong_tenant')
        await refuses('migrate', () => each.migrate('acme'), 'wrong_tenant')
      }
      equal((await stampOf(t, name)).tenant_id, 'other')
    },
  },
  {
    name: 'an empty database left by a crash is taken over',
    async run(t) {
      await t.provider.create(await t.nameOf('acme'), t.call)
      const factory = t.factory({ migrations: NOTES }, t.another())
      await refuses('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_ready')
      await factory.provision('acme')
      await assertReady(t, 'acme')
      await t.provider.create(await t.nameOf('acme2'), t.call)
      await factory.deprovision('acme2')
      await assertAbsent(t, 'acme2')
    },
  },
  {
    name: 'a tenant whose seed failed is not served; provision again finishes it, and seeds a ready one no more',
    async run(t) {
      let seeds = 0
      let failing = true
      const factory = t.factory({
        migrations: NOTES,
        async seed({ db }, { id }) {
          seeds++
          await db.deleteFrom('notes').execute()
          await writeNote(db, 1, `seeded ${id}`)
          if (failing) throw new Error('the seed failed')
        },
      })
      await refuses('provision', () => factory.provision('acme'))
      const tried = seeds
      ok(tried >= 1, 'the seed was not run')
      await refuses('getAdapters', () => factory.getAdapters('acme'), 'tenant_not_ready')
      await refuses(
        'another process',
        () => t.factory({}, t.another()).getAdapters('acme'),
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
    name: 'the factory’s methods work unbound, and throw closed after close',
    async run(t) {
      const { getAdapters, provision, deprovision, open, migrate, release, close } = t.factory(
        { migrations: NOTES },
        t.another(),
      )
      await provision('acme')
      await getAdapters('acme')
      await open('acme')
      deepEqual(await migrate('acme'), [])
      release('acme')
      await deprovision('acme')
      await provision('acme')
      await close()
      await succeeds('a second close', close)
      for (const method of [getAdapters, provision, deprovision, open, migrate])
        await refuses('after close', () => method('acme'), 'closed')
      await assertReady(t, 'acme')
    },
  },
])
