import { type DatabaseFactory, fromPath, setupMultiTenancy } from '@tenantry/multi-tenancy'
import { Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { csrf } from 'hono/csrf'
import { NONCE, type SecureHeadersVariables, secureHeaders } from 'hono/secure-headers'
import { api, type NotesEnv, readActor } from './api.ts'
import { controlPage } from './control.ts'
import type { NotesAdapters } from './database.ts'
import { parseNote, problem } from './input.ts'
import { type ListedTenant, landingPage, tenantPage } from './pages.ts'
import { addNote, listAudit, listMembers, listNotes, workspaceName } from './store.ts'

export interface NotesAppOptions {
  /** Tenants are its subdomains: with `localhost`, acme is at `acme.localhost`, and at `localhost/t/acme/`. */
  readonly baseDomain: string
  /**
   * Verifies who calls, before anything else: `jwt({ secret, alg: 'HS256' })`. Only a token issued for a tenant
   * then reaches it. `'anyone'` opens every tenant to every caller: for a public demo, never for a real app.
   */
  readonly authenticate: MiddlewareHandler | 'anyone'
  /**
   * The tenant whose tokens manage all tenants, by the tenants API at `/tenants`; with `'anyone'` every caller does, on
   * the landing page too. Needs a factory with a catalog.
   * @default tenants are managed elsewhere
   */
  readonly controlPlaneTenantId?: string
  /** What the landing page lists; with `controlPlaneTenantId` what it calls those there are. @default nothing */
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
  { baseDomain, authenticate, controlPlaneTenantId, tenants = [] }: NotesAppOptions,
): Hono {
  const multiTenancy = setupMultiTenancy({
    databaseIsolation: factory,
    subdomainRouting: { baseDomain },
    // A request that names one tenant by its host and another by its path is refused.
    resolvers: [fromPath({ prefix: '/t' })],
    // Left out, the rule is: the verified token's tenant claim must equal the tenant asked for.
    accessControl: {
      ...(authenticate === 'anyone' && { authorize: () => true, authorizeControlPlane: () => true }),
      ...(controlPlaneTenantId !== undefined && { controlPlaneTenantId }),
    },
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
    await addNote(c.env.data, readActor(c), parseNote(await c.req.parseBody()))
    return c.redirect(`${basePath(c.req.path, c.var.tenant.id)}/`, 303)
  })

  const isBare = (url: string): boolean => new URL(url).hostname === baseDomain
  const management = new Hono()
  management.use(async (c, next) => {
    // A tenant's host has no such path.
    if (!isBare(c.req.url)) throw problem(404, 'There is nothing here')
    await next()
  })
  // What authorizes itself needs no cookie, and what anyone may do is not for other sites' pages to do.
  management.use(authenticate === 'anyone' ? csrf() : authenticate)
  management.route('/', multiTenancy.app)

  const app = new Hono<{ Variables: SecureHeadersVariables }>({ strict: false })
  const managed = controlPlaneTenantId !== undefined
  const scripts = managed && authenticate === 'anyone' ? { scriptSrc: [NONCE], connectSrc: formAction } : {}
  app.use(
    secureHeaders({
      contentSecurityPolicy: { defaultSrc, styleSrc, formAction, baseUri: defaultSrc, ...scripts },
    }),
  )
  app.use(bodyLimit({ maxSize: 64 * 1024 }))
  app.get('/', async (c, next) => {
    // Only the bare domain has a landing page; every other host is a tenant's or unknown.
    if (!isBare(c.req.url)) return next()
    const { host } = new URL(c.req.url)
    if (!managed || authenticate !== 'anyone') return c.html(landingPage({ tenants, host }))
    const page = await multiTenancy.tenants.list({ limit: 100 })
    const names = new Map(tenants.map(({ id, name }) => [id, name]))
    const nonce = c.get('secureHeadersNonce') ?? ''
    return c.html(controlPage({ tenants: page.tenants, names, host, nonce }), 200, {
      'cache-control': 'no-store',
    })
  })
  if (managed) app.route('/tenants', management)
  app.route('/t/:tenant', tenant)
  app.route('/', tenant)
  app.notFound(() => problem(404, 'There is nothing here').getResponse())
  return app as unknown as Hono
}

// Were a note's text ever taken for markup, it could still load and run nothing.
const [defaultSrc, styleSrc, formAction] = [["'none'"], ["'unsafe-inline'"], ["'self'"]]

/** What the tenant's own links start with: nothing under its subdomain, `/t/acme` where the path names it. */
function basePath(path: string, tenantId: string): string {
  const base = `/t/${tenantId}`
  return path === base || path.startsWith(`${base}/`) ? base : ''
}
