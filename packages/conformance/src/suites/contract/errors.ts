import { equal, ok } from 'node:assert/strict'
import { inspect } from 'node:util'
import { TenancyError } from '@tenantry/multi-tenancy'
import { sql } from 'kysely'
import { type ConformanceCase, defineCases } from '../../case.ts'
import { expectMappedError } from '../../support/expect-error.ts'
import { CREATE_NOTES, insertNote } from '../../support/notes.ts'

/** `mapError`, and what errors show. */
export const contractErrors: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'maps a driver error to a code, keeps it as the cause and leaves a TenancyError unchanged',
    async run(t) {
      const { provider } = t
      const client = await t.open(`${t.prefix}a`)
      await provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(t.dialect, 1, 'one')])
      const mistakes = [
        'SELEKT 1',
        'SELECT * FROM missing',
        "INSERT INTO notes (id, body) VALUES (1, 'again')",
      ]
      for (const text of mistakes) {
        for (const run of [
          () => provider.query(client, { sql: text }),
          () => provider.batch(client, [{ sql: text }]),
          () => sql.raw(text).execute(provider.kysely(client)),
        ]) {
          const error = await expectMappedError(text, provider.mapError, run)
          ok(error.cause !== undefined, `${text}: ${error.code} has no cause`)
          equal(error.retryable, false, `${text}: ${error.code} is reported as retryable`)
        }
      }
      const coded = new TenancyError('quota_exceeded', 'as it is')
      equal(provider.mapError(coded), coded, 'mapError changed a TenancyError')
      for (const value of [undefined, null, 'text', 7, {}, new Error('x', { cause: new Error('y') })])
        ok(provider.mapError(value) instanceof TenancyError, `mapError(${inspect(value)})`)
    },
  },
  {
    name: 'shows no secret in an error',
    skip: ({ secrets }) =>
      secrets === undefined || secrets.length === 0 ? 'the harness has no secrets' : undefined,
    async run(t) {
      const { provider, call, prefix } = t
      const client = await t.open(`${prefix}a`)
      const locator = await provider.find(`${prefix}a`, call)
      ok(locator !== undefined)
      const errors = [await getError(() => provider.query(client, { sql: 'SELECT * FROM missing' }))]
      await provider.drop(locator, call)
      errors.push(await getError(() => provider.query(client, { sql: 'SELECT 1' })))
      errors.push(
        await getError(() => provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)),
      )
      await provider.close()
      errors.push(await getError(() => provider.create(`${prefix}b`, call)))
      errors.push(await getError(() => provider.query(client, { sql: 'SELECT 1' })))
      for (const error of errors.filter((each) => each !== undefined)) {
        const mapped = provider.mapError(error)
        const text = `${inspect(mapped, { depth: 10, showHidden: true })}${JSON.stringify(mapped)}${mapped.stack}`
        for (const secret of t.harness.secrets ?? []) {
          for (const form of [secret, encodeURIComponent(secret), btoa(secret)])
            ok(!text.includes(form), `a secret shows in ${mapped.code}`)
        }
      }
    },
  },
])

async function getError(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error
  }
}
