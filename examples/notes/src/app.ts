import { type DatabaseFactory, fromPath, setupMultiTenancy } from '@tenantry/multi-tenancy'
import { Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { csrf } from 'hono/csrf'
import { secureHeaders } from 'hono/secure-headers'
import { actorOf, api, type NotesEnv } from './api.ts'
import type { NotesAdapters } from './database.ts'
import { parseNote, problem } from './input.ts'
import { type ListedTenant, landingPage, tenantPage } from './pages.ts'
import { addNote, listAudit, listMembers, listNotes, workspaceName } from './store.ts'

export interface NotesAppOptions {
  /** Tenants are its subdomains: with `localhost`, acme is at `acme.localhost`, and at `localhost/t/acme/`. */
  readonly baseDomain: string
  /**
   * Verifies who calls, before anything else: `jwt({ secret, alg: 'HS256' })`. Only a token issued for a tenant
   * then reaches it. `'anyone'` opens every tenant to everybody: for a public demo, never for a real app.
   */
  readonly authenticate: MiddlewareHandler | 'anyone'
  /** What the landing page lists. @default nothing */
  readonly tenants?: readonly ListedTenant[]
}

/**
 * The notes app over any provider's factory.
 *
 * @example
 * ```ts
 * const app = createNotesApp(createMemoryFactory({ migrations }), { baseDomain: 'localhost', authenticate: 'anyone' })
 * ```
 */
export function createNotesApp(
  factory: DatabaseFactory<NotesAdapters>,
  { baseDomain, authenticate, tenants = [] }: NotesAppOptions,
): Hono {
  const multiTenancy = setupMultiTenancy({
    databaseIsolation: factory,
    subdomainRouting: { baseDomain },
    // A request that names one tenant by its host and another by its path is refused.
    resolvers: [fromPath({ prefix: '/t' })],
    // Left out, the rule is: the verified token's tenant claim must equal the tenant asked for.
    ...(authenticate === 'anyone' ? { accessControl: { authorize: () => true } } : {}),
  })

  const tenant = new Hono<NotesEnv>()
  if (authenticate !== 'anyone') tenant.use(authenticate)
  tenant.use(multiTenancy.middleware)
  tenant.route('/api', api)

  tenant.get('/', async (c) => {
    const { db } = c.env.data
    const { id } = c.var.tenant
    const [name = id, notes, members, audit] = await Promise.all([
      workspaceName(db),
      listNotes(db),
      listMembers(db),
      listAudit(db, 8),
    ])
    const base = basePath(c.req.path, id)
    // Back from acme.localhost:8787 to localhost:8787; from a path to the same host's root.
    const home = base === '' ? `//${new URL(c.req.url).host.slice(id.length + 1)}/` : '/'
    return c.html(tenantPage({ id, name, notes, members, audit, base, home }))
  })

  tenant.post('/notes', csrf(), async (c) => {
    await addNote(c.env.data, actorOf(c), parseNote(await c.req.parseBody()))
    return c.redirect(`${basePath(c.req.path, c.var.tenant.id)}/`, 303)
  })

  const app = new Hono({ strict: false })
  app.use(secureHeaders({ contentSecurityPolicy: { defaultSrc, styleSrc, formAction, baseUri: defaultSrc } }))
  app.use(bodyLimit({ maxSize: 64 * 1024 }))
  app.get('/', async (c, next) => {
    const { hostname, host } = new URL(c.req.url)
    // Only the bare domain has a landing page; every other host is a tenant's, or nobody's.
    return hostname === baseDomain ? c.html(landingPage({ tenants, host })) : next()
  })
  app.route('/t/:tenant', tenant)
  app.route('/', tenant)
  app.notFound(() => problem(404, 'There is nothing here').getResponse())
  return app
}

// Were a note's text ever taken for markup, it could still load and run nothing.
const [defaultSrc, styleSrc, formAction] = [["'none'"], ["'unsafe-inline'"], ["'self'"]]

/** What the tenant's own links start with: nothing under its subdomain, `/t/acme` where the path names it. */
function basePath(path: string, tenantId: string): string {
  const base = `/t/${tenantId}`
  return path === base || path.startsWith(`${base}/`) ? base : ''
}
