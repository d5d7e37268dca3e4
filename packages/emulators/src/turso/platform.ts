import { type Context, Hono } from 'hono'
import { jsonReply } from '../http.ts'
import { type Handler, readJson } from './call.ts'
import { ApiError } from './errors.ts'
import { locations } from './names.ts'
import { operations, type PlatformOperation } from './operations.ts'
import { databaseRoutes } from './platform-databases.ts'
import { groupRoutes } from './platform-groups.ts'
import type { PlatformEnv, PlatformOptions, Route } from './platform-route.ts'

/** The Platform API as a Hono app behind a {@link Handler}. */
export function createPlatform(options: PlatformOptions): Handler {
  const { records, tokens } = options
  const routes: Readonly<Record<PlatformOperation, Route>> = {
    ...databaseRoutes(options),
    ...groupRoutes(options),
    'locations.list': (c) => c.json({ locations }),
    'auth.validate': (c) => c.json({ exp: -1 }),
  }
  const readGroup = (c: Context<PlatformEnv>): string | undefined => {
    const { group, database } = c.env.parameters
    return group ?? records.databases.get(database ?? '')?.group ?? groupIn(c.get('input'))
  }
  const app = new Hono<PlatformEnv>()
  for (const [name, { method, path }] of Object.entries(operations)) {
    const operation = name as PlatformOperation
    app.on(method, path, (c) => {
      const input = readJson(c.env.body)
      c.set('input', input ?? {})
      c.set('pinnedGroup', tokens.check(c.req.header('authorization'), operation, readGroup(c)))
      const { organization = records.organization } = c.env.parameters
      if (organization !== records.organization) throw new ApiError(403, 'forbidden')
      if (input === undefined) throw new ApiError(400, 'invalid JSON body')
      return routes[operation](c)
    })
  }
  app.notFound((c) => c.json({ error: `not emulated: ${c.req.method} ${c.req.path}` }, 501))
  app.onError((error, c) => {
    const status = error instanceof ApiError ? error.status : 500
    return c.newResponse(JSON.stringify({ error: error.message }), status as 500, {
      'content-type': 'application/json',
    })
  })

  return async (call) => {
    const body = call.method === 'GET' || call.body.length === 0 ? undefined : new Uint8Array(call.body)
    const headers = new Headers()
    if (call.headers.authorization !== undefined) headers.set('authorization', call.headers.authorization)
    const request = new Request(`http://platform${call.target}`, {
      method: call.method,
      headers,
      ...(body && { body }),
    })
    const response = await app.fetch(request, call)
    const reply = new Uint8Array(await response.arrayBuffer())
    // The empty 200 of a rotation has no content-type either.
    if (reply.length === 0) return { status: response.status, headers: {}, body: reply }
    return { ...jsonReply(response.status, null), body: reply }
  }
}

function groupIn(input: Readonly<Record<string, unknown>>): string | undefined {
  return typeof input.group === 'string' ? input.group : undefined
}
