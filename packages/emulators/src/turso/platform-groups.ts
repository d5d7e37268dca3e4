import type { PlatformOperation } from './operations.ts'
import type { PlatformOptions, Route } from './platform-route.ts'
import { presentGroup } from './present.ts'
import { computeExpiry, mintSqlToken, parseAuthorization } from './tokens.ts'

type GroupOperation = Extract<PlatformOperation, `groups.${string}` | `groupTokens.${string}`>

/** The routes under `…/groups`. */
export function groupRoutes({
  records,
  groups,
  now,
}: PlatformOptions): Readonly<Record<GroupOperation, Route>> {
  const named: (c: Parameters<Route>[0]) => string = (c) => c.env.parameters.group ?? ''
  return {
    'groups.create': async (c) => c.json({ group: presentGroup(await groups.create(c.get('input'))) }),
    'groups.list': (c) => {
      const pinned = c.get('pinnedGroup')
      const visible = [...records.groups.values()].filter((group) => !pinned || group.name === pinned)
      return c.json({ groups: visible.map(presentGroup) })
    },
    'groups.retrieve': (c) => c.json({ group: presentGroup(groups.find(named(c))) }),
    'groups.delete': async (c) => c.json({ group: presentGroup(await groups.remove(named(c))) }),
    'groups.configuration': (c) => c.json({ delete_protection: groups.find(named(c)).deleteProtection }),
    'groups.configure': async (c) => {
      const record = await groups.configure(named(c), c.get('input'))
      return c.json({ delete_protection: record.deleteProtection })
    },
    'groupTokens.create': async (c) => {
      const group = groups.find(named(c))
      const { expiration, authorization } = c.req.query()
      const expiresAt = computeExpiry(expiration, now(), c.env.expireToken ? 'expired' : undefined)
      // No namespace: it opens every database that knows the group's key, also those created later.
      const grant = { authorization: parseAuthorization(authorization), expiresAt }
      const jwt = await records.change(async () => {
        group.issued = true
        return mintSqlToken(group.key, grant, now())
      })
      return c.json({ jwt })
    },
    'groupTokens.rotate': async (c) => {
      await groups.rotate(named(c))
      return c.body(null, 200)
    },
  }
}
