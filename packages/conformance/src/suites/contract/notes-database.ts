import { ok } from 'node:assert/strict'
import type { ConnectTarget, Locator, TenantProvider } from '@tenantry/multi-tenancy/provider'
import type { ConformanceContext } from '../../context.ts'
import { CREATE_NOTES, insertNote, SELECT_NOTES, toBodies } from '../../support/notes.ts'

type SetAccess = NonNullable<TenantProvider<unknown>['setAccess']>

/** Returns \`setAccess\` of a provider that must have it. */
export function requireSetAccess({ setAccess }: TenantProvider<unknown>): SetAccess {
  ok(setAccess !== undefined, 'another provider of the same service has no setAccess')
  return setAccess
}

/** A client that has been used before, and the provider that it is from. */
interface Holder {
  readonly whose: string
  readonly provider: TenantProvider<unknown>
  readonly client: unknown
}

/** Creates a database with one note, and two clients that have been used: this process's and another's. */
export async function createNotes(
  t: ConformanceContext,
  name: string,
): Promise<{ locator: Locator; setAccess: SetAccess; holders: Holder[] }> {
  const { provider, call, dialect } = t
  const { locator } = await provider.create(name, call)
  const holders: Holder[] = []
  for (const [whose, over] of [
    ['a client', provider],
    ["another process's client", t.createProvider()],
  ] as const) {
    const client = await over.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    if (holders.length === 0) {
      await over.batch(client, [{ sql: CREATE_NOTES }, insertNote(dialect, 1, 'first')])
    }
    await over.query(client, { sql: SELECT_NOTES })
    holders.push({ whose, provider: over, client })
  }
  return { locator, setAccess: requireSetAccess(provider), holders }
}

interface ReadOptions {
  readonly provider?: TenantProvider<unknown>
  readonly purpose?: ConnectTarget['purpose']
}

/** Connects a new client and returns the texts of all notes. */
export async function readBodies(
  t: ConformanceContext,
  locator: Locator,
  { provider = t.provider, purpose = 'manage' }: ReadOptions = {},
): Promise<string[]> {
  const client = await provider.connect({ locator, purpose, verify: async () => {} }, t.call)
  return toBodies(await provider.query(client, { sql: SELECT_NOTES }))
}
