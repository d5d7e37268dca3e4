import { tursoEmulatorFetch } from '@tenantry/emulators/client'
import { createTursoFactory } from '@tenantry/turso'
import { createNotesApp, demoTenants, type NotesAdapters } from '@tenantry-examples/notes'
import type { Hono } from 'hono'
import { jwt } from 'hono/jwt'

interface Env {
  readonly BASE_DOMAIN: string
  readonly TURSO_ORGANIZATION: string
  readonly TURSO_API_TOKEN: string
  readonly JWT_SECRET: string
  /** Only in development: where `tenantry-emulators turso` listens. */
  readonly TURSO_EMULATOR_URL?: string
}

// Created by the first request of this isolate and used by all. Nothing in it holds I/O, which no Worker may share
// between requests: a factory on Workers keeps plain data only (which database is whose).
let app: Hono | undefined

export default {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    app ??= createApp(env)
    return app.fetch(request, env)
  },
}

function createApp(env: Env): Hono {
  const { BASE_DOMAIN: baseDomain, TURSO_EMULATOR_URL: emulator } = env
  // No migrations here: tenants are provisioned and migrated elsewhere (see scripts/dev.ts), this only serves them.
  const factory = createTursoFactory<NotesAdapters>({
    organizationName: env.TURSO_ORGANIZATION,
    apiToken: env.TURSO_API_TOKEN,
    ...(emulator === undefined ? {} : { fetch: tursoEmulatorFetch(emulator) }),
  })
  // Deployed, only a verified token reaches its tenant. On the emulator it is a demo, open to anyone.
  return emulator === undefined
    ? createNotesApp(factory, { baseDomain, authenticate: jwt({ secret: env.JWT_SECRET, alg: 'HS256' }) })
    : createNotesApp(factory, { baseDomain, authenticate: 'anyone', tenants: demoTenants })
}
