import { createRoute, type OpenAPIHono, type z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { TenancyError } from '../errors.ts'
import type { Tenants } from '../types/lifecycle.ts'
import type { TenantRecord } from '../types/record.ts'
import { sha256 } from '../util/hash.ts'
import { expectNoBody, milliseconds, mountPath, segment } from './request.ts'
import { json, responses } from './responses.ts'
import {
  createBody, createHeaders, deleteQuery, noQuery, pathId, purgeBody, tenant, updateBody,
} from './schemas.ts' // biome-ignore format: one list
import { showTenant } from './serialize.ts'

/** A request begins the operation; where an executor runs it, the response does not wait for it. */
const wait = false

/** The routes that change tenants; `controlPlane` is left alone where that would end it. */
export function addChanging(
  app: OpenAPIHono,
  tenants: Tenants<TenantRecord>,
  controlPlane: string | undefined,
): void {
  const spare = (id: string, what: string): string => {
    if (id !== controlPlane) return id
    throw new TenancyError('forbidden', `The control-plane tenant is not ${what} here`)
  }
  const underWay = json(tenant, 'Under way: `operation` says which operation to ask for.')

  const create = createRoute({
    method: 'post',
    path: '/',
    operationId: 'createTenant',
    summary: 'Creates a tenant with its database, or continues one that failed',
    request: { query: noQuery, headers: createHeaders, body: jsonBody(createBody) },
    responses: responses({ 201: json(tenant, 'It can be served.'), 202: underWay }, { conflict: true }),
  })
  app.openapi(create, async (c) => {
    const { id, metadata, placement } = c.req.valid('json')
    const { 'idempotency-key': key } = c.req.valid('header')
    const request =
      key === undefined ? undefined : await toRequest(key, ['POST', '/', id, metadata, placement])
    const record = await tenants.create(id, { metadata, placement, request, exclusive: true, wait })
    const location = `${mountPath(c, '/')}/${record.id}`
    return c.json(showTenant(record), record.operation === undefined ? 201 : 202, { location })
  })

  const update = createRoute({
    method: 'patch',
    path: '/{id}',
    operationId: 'updateTenant',
    summary: 'Replaces members of the metadata',
    request: { params: pathId, query: noQuery, body: jsonBody(updateBody, 'application/merge-patch+json') },
    responses: responses({ 200: json(tenant, 'As it is now.') }, { notFound: true }),
  })
  app.openapi(update, async (c) => {
    const { metadata } = c.req.valid('json')
    return c.json(showTenant(await tenants.update(segment(c, 1), metadata)), 200)
  })

  const remove = createRoute({
    method: 'delete',
    path: '/{id}',
    operationId: 'deleteTenant',
    summary: 'Deletes a tenant; its database is kept until `purgeAfter`',
    request: { params: pathId, query: deleteQuery },
    responses: responses(
      { 200: json(tenant, 'Deleted.'), 202: underWay, 204: { description: 'There is nothing left of it.' } },
      { conflict: true },
    ),
  })
  app.openapi(remove, async (c) => {
    await expectNoBody(c)
    const { retention: asked } = c.req.valid('query')
    const retention = asked === undefined ? undefined : milliseconds(asked)
    const record = await tenants.delete(spare(segment(c, 1), 'deleted'), { retention, wait })
    return record === undefined || record.state === 'purged' ? c.body(null, 204) : settled(c, record)
  })

  const purge = createRoute({
    method: 'post',
    path: '/{id}/purge',
    operationId: 'purgeTenant',
    summary: "Destroys a deleted tenant's database permanently, before its retention ends",
    request: { params: pathId, query: noQuery, body: jsonBody(purgeBody) },
    responses: responses({ 200: json(tenant, 'Purged.'), 202: underWay }, { notFound: true, conflict: true }),
  })
  app.openapi(purge, async (c) => {
    const { uid } = c.req.valid('json')
    return settled(c, await tenants.purge(spare(segment(c, 2), 'purged'), { uid, wait }))
  })

  const actions = [
    ['undelete', 'Brings a deleted tenant back as it was'],
    ['suspend', 'Stops serving a tenant'],
    ['resume', 'Serves a suspended tenant again'],
    ['retry', 'Does again what failed last'],
  ] as const
  for (const [action, summary] of actions) {
    const route = createRoute({
      method: 'post',
      path: `/{id}/${action}`,
      operationId: `${action}Tenant`,
      summary,
      request: { params: pathId, query: noQuery },
      responses: responses({ 200: json(tenant, 'Done.'), 202: underWay }, { notFound: true, conflict: true }),
    })
    app.openapi(route, async (c) => {
      await expectNoBody(c)
      const id = segment(c, 2)
      if (action === 'suspend') spare(id, 'suspended')
      return settled(c, await tenants[action](id, { wait }))
    })
  }
}

/** A tenant once an action was done to it, or has begun to be. */
function settled(c: Context, record: TenantRecord) {
  return c.json(showTenant(record), record.operation === undefined ? 200 : 202)
}

function jsonBody<Schema extends z.ZodType>(schema: Schema, ...types: string[]) {
  const content = Object.fromEntries(['application/json', ...types].map((type) => [type, { schema }]))
  return { required: true, content: content as { 'application/json': { schema: Schema } } }
}

/** Namespaced, so keys of the API cannot collide with keys of in-process callers. */
async function toRequest(key: string, request: readonly unknown[]): Promise<{ key: string; hash: string }> {
  return { key: `api:${await sha256(key)}`, hash: await sha256(JSON.stringify(request)) }
}
