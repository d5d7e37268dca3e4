import type { Context } from 'hono'
import { Hono } from 'hono'
import type { TenancyError } from '../../src/errors.ts'
import { TenancyError as CodedError } from '../../src/errors.ts'
import type { DatabaseIsolation } from '../../src/request/env.ts'

/** The adapters of these tests, which name their tenant. */
export interface Notes {
  readonly owner: string
  read(): Promise<string>
}

export interface TestDatabases {
  readonly databaseIsolation: DatabaseIsolation<Notes>
  /** Every tenant whose adapters were requested, in order. */
  readonly requestedTenants: string[]
}

/** Tenant databases in a map, and a record of the requested tenants. Unlisted tenants are unknown. */
export function createTestDatabases(
  tenants: readonly string[],
  suspended: readonly string[] = [],
): TestDatabases {
  const requestedTenants: string[] = []
  const databases = new Map(
    tenants.map((owner) => [owner, { owner, read: async () => `notes of ${owner}` }] as const),
  )
  const getAdapters = async (tenantId: string): Promise<Notes> => {
    requestedTenants.push(tenantId)
    if (suspended.includes(tenantId)) throw new CodedError('tenant_suspended', `${tenantId} did not pay`)
    const notes = databases.get(tenantId)
    if (notes === undefined)
      throw new CodedError('tenant_not_found', `no row for ${tenantId}`, { retryAfter: 9 })
    return notes
  }
  return { databaseIsolation: { getAdapters }, requestedTenants }
}

/** Answers with the tenant whose adapters the handler has. */
export const answerOwner = (c: Context): Response => c.text(c.env.data.owner)

/** An app that answers with the tenant of its adapters, after the middleware that `use` adds. */
export function ownerApp(use: (app: Hono) => void): Hono {
  const app = new Hono()
  use(app)
  app.all('*', answerOwner)
  return app
}

/** The parts of an answer that a client can compare. */
export async function seen(response: Response): Promise<{ status: number; headers: unknown; body: string }> {
  return {
    status: response.status,
    headers: [...response.headers].sort(([a], [b]) => a.localeCompare(b)),
    body: await response.text(),
  }
}

/** The code in a problem+json answer. */
export async function readCode(response: Response): Promise<TenancyError['code'] | undefined> {
  const text = await response.text()
  return text.startsWith('{') ? JSON.parse(text).code : undefined
}

/** A stand-in for a token check: the payload in a header, put where `hono/jwt` puts a verified one. */
export function payloadFromHeader(app: Hono): void {
  app.use(async (c, next) => {
    const payload = c.req.header('x-test-payload')
    if (payload !== undefined) c.set('jwtPayload' as never, JSON.parse(payload) as never)
    await next()
  })
}
