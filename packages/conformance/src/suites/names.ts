import { deepEqual, equal, ok } from 'node:assert/strict'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { type ConformanceCase, defineCases } from '../case.ts'
import { expectError } from '../support/expect-error.ts'
import { NOTES, readNotes, SELECT_NOTES, toBodies, writeNote } from '../support/notes.ts'
import { findPhysicalName } from '../support/physical-name.ts'
import { recordCalls } from '../wrappers/record-calls.ts'

const RESERVED = new Set(['admin', 'api', 'www'])
const label = fc.string({ unit: fc.constantFrom(...'abcxyz019'), minLength: 1, maxLength: 12 })

/** Tenant ids of the grammar, many of them long, with long common beginnings and dashes everywhere. */
const tenantIds: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom('', 'a-', 'x'.repeat(30), `${'long-'.repeat(11)}y`),
    fc.array(label, { minLength: 1, maxLength: 6 }),
  )
  .map(([start, labels]) => (start + labels.join('-')).slice(0, 63).replace(/-+$/, ''))
  .filter((id) => id.length > 0 && !RESERVED.has(id))

const TRICKY = [
  'a',
  '0',
  'a-b',
  'ab',
  'a-b-c',
  'constructor',
  '1-1',
  'g2',
  'a-g2',
  'select',
  'information-schema',
]
const LONG = ['y', 'z', '-y', '0'].map((end) => 'x'.repeat(63 - end.length) + end)

const HOSTILE: readonly unknown[] = [
  '', ' ', 'A', 'Acme', 'acme ', ' acme', 'acme\n', 'acme\0', 'a--b', '-a', 'a-', 'a_b', 'a.b', 'a/b', 'a\\b', '..', '../a',
  "a'b", 'a"b', 'a`b', 'a;b', 'a;drop table notes', 'a%b', 'a%00', '%2e%2e', 'a?b', 'a#b', 'a@b', 'a:b', 'a$b', 'a*', 'a,b',
  'zürich', 'ａcme', 'аcme', 'acme\u200b', '\ufeffacme', 'e\u0301', '👩‍🚀', 'x'.repeat(64), 'admin', 'www', 'undefined', 'null',
  '__proto__', undefined, null, 0, 1, true, Number.NaN, {}, [], ['acme'], { toString: () => 'acme' }, new String('acme'), () => 'acme',
] // biome-ignore format: one list

/** Tenant ids and physical names. */
export const names: readonly ConformanceCase[] = defineCases('names', [
  {
    name: 'gives every tenant id a distinct name that fits the declared naming',
    async run({ provider, prefix }) {
      const { maxLength, separator } = provider.naming
      const allowed = separator === '_' ? /^[a-z][a-z0-9_-]*$/ : /^[a-z][a-z0-9-]*$/
      const owners = new Map<string, string>()
      const check = async (id: string): Promise<void> => {
        const name = await findPhysicalName(provider, prefix, id)
        ok(name.startsWith(prefix), `${name} does not start with ${prefix}`)
        ok(name.length <= maxLength, `${name} has ${name.length} of ${maxLength} characters`)
        ok(allowed.test(name), `${name} has characters outside the declared naming`)
        equal(owners.get(name) ?? id, id, `${name} is the name of two tenants`)
        owners.set(name, id)
        equal(await findPhysicalName(provider, prefix, id), name, 'the name changes from call to call')
      }
      for (const id of [...TRICKY, ...LONG]) await check(id)
      await fc.assert(fc.asyncProperty(tenantIds, check), { numRuns: 200 })
    },
  },
  {
    name: 'stores every database under exactly the name it receives',
    async run(t) {
      const ids = [...TRICKY.slice(0, 6), ...LONG, ...fc.sample(tenantIds, { numRuns: 6 })]
      const expected = new Set(await Promise.all(ids.map((id) => t.getDatabaseName(id))))
      for (const name of expected) {
        equal((await t.provider.create(name, t.call)).created, true, `${name} existed already`)
        ok((await t.provider.find(name, t.call)) !== undefined, `find returned undefined for ${name}`)
      }
      deepEqual((await t.oracle.listDatabases(t.prefix)).sort(), [...expected].sort())
    },
  },
  {
    name: 'keeps tenants apart whose ids differ only in the 63rd character',
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      for (const id of LONG) {
        await factory.provision(id)
        await writeNote((await factory.getAdapters(id)).db, 1, id)
      }
      equal((await t.oracle.listDatabases(t.prefix)).length, LONG.length)
      const other = t.createFactory({}, t.createProvider())
      for (const id of LONG) {
        deepEqual(await readNotes((await other.getAdapters(id)).db), [id])
        deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName(id), SELECT_NOTES)), [id])
      }
    },
  },
  {
    name: 'rejects hostile ids with invalid_tenant_id before it calls the provider',
    async run(t) {
      const { provider, calls } = recordCalls(t.provider)
      const factory = t.createFactory({ migrations: NOTES }, provider)
      for (const hostile of HOSTILE) {
        const id = hostile as string
        for (const run of [
          factory.getAdapters,
          factory.open,
          factory.provision,
          factory.deprovision,
          factory.migrate,
        ])
          await expectError(inspect(hostile), () => run(id), 'invalid_tenant_id')
        await expectError(inspect(hostile), async () => factory.release(id), 'invalid_tenant_id')
      }
      deepEqual(calls, [])
      deepEqual(await t.oracle.listDatabases(t.prefix), [])
    },
  },
])
