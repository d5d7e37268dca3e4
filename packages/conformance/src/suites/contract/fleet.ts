import { deepEqual, equal, ok } from 'node:assert/strict'
import { inspect } from 'node:util'
import { type ConformanceCase, defineCases } from '../../case.ts'
import { expectSuccess } from '../../support/expect-error.ts'
import { listAll } from '../../support/list-all.ts'

/** Placement, leftovers of dropped databases, and `diagnose`. */
export const contractFleet: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'creates a database at its placement, and finds, lists, serves and drops it there',
    skip: ({ provider }) =>
      provider.placements === undefined ? 'the provider has no placements' : undefined,
    async run(t) {
      const { provider, call, prefix, harness } = t
      const { placements = [] } = provider
      const databases = placements.map((placement, index) => ({ placement, name: `${prefix}p${index}` }))
      for (const { placement, name } of databases) {
        const { created } = await provider.create(name, { ...call, placement })
        equal(created, true, name)
        if (harness.findPlacement !== undefined)
          equal(await harness.findPlacement(name), placement, `placement of ${name}`)
        equal((await provider.create(name, call)).created, false, `${name} without its placement`)
      }
      const listed = (await listAll(t.createProvider(), prefix, t)).map(({ name }) => name)
      deepEqual(listed.sort(), databases.map(({ name }) => name).sort(), 'the list of another process')
      for (const { name } of databases) {
        const locator = await t.createProvider().find(name, call)
        ok(locator !== undefined, `find returned undefined for ${name}`)
        const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
        await expectSuccess(`a query of ${name}`, () => provider.query(client, { sql: 'SELECT 1 AS one' }))
        await provider.drop(locator, call)
      }
      deepEqual(await t.oracle.listDatabases(prefix), [])
    },
  },
  {
    name: 'lists no leftover of an existing or a dropped database',
    async run(t) {
      const { provider, call, prefix } = t
      const { locator } = await provider.create(`${prefix}a`, call)
      await provider.create(`${prefix}b`, call)
      const before = await listAll(provider, prefix, t)
      deepEqual(
        before
          .map(({ name, leftover: remains }) => ({ name, remains }))
          .sort((a, b) => (a.name < b.name ? -1 : 1)),
        [`${prefix}a`, `${prefix}b`].map((name) => ({ name, remains: undefined })),
      )
      await provider.drop(locator, call)
      const after = await listAll(t.createProvider(), prefix, t)
      deepEqual(
        after.map(({ name, leftover: remains }) => ({ name, remains })),
        [{ name: `${prefix}b`, remains: undefined }],
      )
    },
  },
  {
    name: 'diagnoses fleets of every size in sentences that show no secret',
    skip: ({ provider }) => (provider.diagnose === undefined ? 'the provider has no diagnose' : undefined),
    async run({ provider, call, harness }) {
      for (const tenants of [0, 1, 1_000_000]) {
        const sentences = await expectSuccess(`diagnose of ${tenants}`, async () =>
          provider.diagnose?.({ tenants }, call),
        )
        ok(Array.isArray(sentences), `diagnose of ${tenants} answered ${inspect(sentences)}`)
        for (const sentence of sentences) {
          ok(typeof sentence === 'string' && / /.test(sentence), `not a sentence: ${inspect(sentence)}`)
          for (const secret of harness.secrets ?? []) {
            ok(!sentence.includes(secret), 'a secret shows in a sentence of diagnose')
          }
        }
      }
    },
  },
])
