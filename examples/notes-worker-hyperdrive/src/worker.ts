import { createPostgresSchemaFactory } from '@tenantry/postgres-schema'
import { createNotesApp, demoTenants, type NotesAdapters } from '@tenantry-examples/notes'
import type { Hono } from 'hono'
import { jwt } from 'hono/jwt'

interface Env {
  readonly BASE_DOMAIN: string
  /** A database connection that Cloudflare keeps warm, shared between transactions. */
  readonly HYPERDRIVE: { readonly connectionString: string }
  readonly ROLE_SECRET: string
  readonly JWT_SECRET: string
  /** Only in development: anyone may read and write. */
  readonly DEMO?: string
}

// Created by the first request of this isolate and used by all. Nothing in it holds I/O, which no Worker may share
// between requests: connections are each request's own.
let app: Hono | undefined

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    app ??= createApp(env)
    return app.fetch(request, env)
  },
}

function createApp(env: Env): Hono {
  const { BASE_DOMAIN: baseDomain, DEMO: demo } = env
  // No migrations here: tenants are provisioned and migrated elsewhere (see scripts/dev.ts), this only serves them.
  const factory = createPostgresSchemaFactory<NotesAdapters>({
    connection: env.HYPERDRIVE.connectionString,
    isolation: 'set_role',
    pooler: 'transaction',
    secret: env.ROLE_SECRET,
  })
  return demo === undefined
    ? createNotesApp(factory, { baseDomain, authenticate: jwt({ secret: env.JWT_SECRET, alg: 'HS256' }) })
    : createNotesApp(factory, { baseDomain, authenticate: 'anyone', tenants: demoTenants })
}
