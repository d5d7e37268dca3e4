import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import type { Tenants } from '../types/lifecycle.ts'
import type { TenantRecord } from '../types/record.ts'
import { segment } from './request.ts'
import { json, responses } from './responses.ts'
import {
  listQuery, noQuery, operationDetail, operationPage, pageQuery, pathId, pathOperation, tenant, tenantPage,
} from './schemas.ts' // biome-ignore format: one list
import { showOperation, showStep, showTenant } from './serialize.ts'

/** The routes that change nothing. */
export function addReading(app: OpenAPIHono, tenants: Tenants<TenantRecord>): void {
  const list = createRoute({
    method: 'get',
    path: '/',
    operationId: 'listTenants',
    summary: 'Tenants, in ascending order of ids',
    request: { query: listQuery },
    responses: responses({ 200: json(tenantPage, 'A page of tenants.') }),
  })
  app.openapi(list, async (c) => {
    const { cursor, limit, state, idPrefix, createdAfter, createdBefore, placement, total } =
      c.req.valid('query')
    const page = await tenants.list({
      cursor,
      limit: limit === undefined ? undefined : Number(limit),
      total: total === 'true',
      ...(state !== undefined && { state }),
      ...(idPrefix !== undefined && { idPrefix }),
      ...(createdAfter !== undefined && { createdAfter: Date.parse(createdAfter) }),
      ...(createdBefore !== undefined && { createdBefore: Date.parse(createdBefore) }),
      ...(placement !== undefined && { placement }),
    })
    const counted = page.total === undefined ? {} : { total: page.total }
    return c.json({ tenants: page.tenants.map(showTenant), cursor: page.cursor ?? null, ...counted }, 200)
  })

  const get = createRoute({
    method: 'get',
    path: '/{id}',
    operationId: 'getTenant',
    summary: 'One tenant, in any state but purged',
    request: { params: pathId, query: noQuery },
    responses: responses({ 200: json(tenant, 'The tenant.') }, { notFound: true }),
  })
  app.openapi(get, async (c) => c.json(showTenant(await tenants.get(segment(c, 1))), 200))

  // Before the next route: `/operations/operations` belongs to a tenant of that id, which no operation has.
  const history = createRoute({
    method: 'get',
    path: '/{id}/operations',
    operationId: 'listOperations',
    summary: 'The operations on a tenant, newest first, those of earlier incarnations included',
    request: { params: pathId, query: pageQuery },
    responses: responses({ 200: json(operationPage, 'A page of operations.') }, { notFound: true }),
  })
  app.openapi(history, async (c) => {
    const { cursor, limit } = c.req.valid('query')
    const query = { cursor, limit: limit === undefined ? undefined : Number(limit) }
    const page = await tenants.operations(segment(c, 2), query)
    return c.json({ operations: page.operations.map(showOperation), cursor: page.cursor ?? null }, 200)
  })

  const operation = createRoute({
    method: 'get',
    path: '/operations/{operationId}',
    operationId: 'getOperation',
    summary: 'One operation, with its steps',
    request: { params: pathOperation, query: noQuery },
    responses: responses({ 200: json(operationDetail, 'The operation.') }, { notFound: true }),
  })
  app.openapi(operation, async (c) => {
    const detail = await tenants.operation(segment(c, 1))
    return c.json({ ...showOperation(detail), steps: detail.steps.map(showStep) }, 200)
  })
}
