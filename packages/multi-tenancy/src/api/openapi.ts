import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { mountPath } from './request.ts'
import { json, responses } from './responses.ts'
import { noQuery } from './schemas.ts'

const PATH = '/openapi.json'

/** Serves the OpenAPI 3.1 document of all routes of the app. */
export function describe(app: OpenAPIHono): void {
  const document = createRoute({
    method: 'get',
    path: PATH,
    operationId: 'getDocument',
    summary: 'This document',
    request: { query: noQuery },
    responses: responses({ 200: json(z.looseObject({ openapi: z.string() }), 'OpenAPI 3.1.') }),
  })
  app.openapi(document, (c) => {
    const { paths = {}, ...described } = app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: {
        title: 'Tenants',
        version: '1',
        description: 'The life of tenants: for the control plane alone, which says who that is.',
      },
    })
    const mount = mountPath(c, PATH)
    // Where the API is mounted there is no slash after its name.
    const mounted = Object.entries(paths).map(([path, item]) => [
      path === '/' ? mount || '/' : mount + path,
      item,
    ])
    return c.json({ ...described, paths: Object.fromEntries(mounted) } as { openapi: string }, 200)
  })
}
