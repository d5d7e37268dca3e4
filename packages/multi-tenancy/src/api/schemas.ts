import { z } from '@hono/zod-openapi'
import { TENANT_STATES, type TenantMetadata, type TenantState } from '../types/record.ts'

// Requests and responses, each defined once: as validation and as documentation.

const time = z.iso
  .datetime({ offset: true })
  .openapi({ format: 'date-time', example: '2026-11-24T09:30:00.000Z' })
const state = z.enum(TENANT_STATES as [TenantState, ...TenantState[]])
const shownState = state.openapi('TenantState', { description: 'Served are `active` and `upgrading` alone.' })
const metadata = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .openapi('Metadata', {
    description:
      'What an app keeps with a tenant: names of 1 to 64 characters of A-Z, a-z, 0-9, _, . and -; 4 KB as JSON.',
    example: { plan: 'pro', seats: 12 },
  })
const placement = z
  .string()
  .regex(/^[\x21-\x7e]{1,64}$/)
  .openapi({ description: "The server or group of the database, by the provider's own name.", example: 'eu' })
const cursor = z.string().openapi({ description: 'From the page before.' })
const limit = z
  .string()
  .regex(/^(?:[1-9]\d?|100)$/)
  .openapi({
    description: 'The maximum number of items on the page, 1 to 100. The default is 50.',
    example: '50',
  })
const id = z.string().openapi({
  description: '1 to 63 characters of a-z, 0-9 and single inner dashes.',
  example: 'acme',
})

/** The handlers read the path as it was sent; these values are decoded. */
export const pathId: z.ZodObject<{ id: z.ZodString }> = z.object({ id })
export const pathOperation: z.ZodObject<{ operationId: z.ZodString }> = z.object({ operationId: z.string() })

/** The body of `POST /`. */
export const createBody: z.ZodType<{
  id: string
  metadata?: TenantMetadata | undefined
  placement?: string | undefined
}> = z
  .strictObject({ id, metadata: metadata.optional(), placement: placement.optional() })
  .openapi('NewTenant')

/** The body of `PATCH /{id}`. */
export const updateBody: z.ZodType<{ metadata: TenantMetadata }> = z
  .strictObject({ metadata })
  .openapi('TenantPatch', { description: 'JSON merge patch (RFC 7396): null removes a member.' })

/** The body of `POST /{id}/purge`. */
export const purgeBody: z.ZodType<{ uid: string }> = z
  .strictObject({ uid: z.string().openapi({ description: 'Of the incarnation to destroy.' }) })
  .openapi('Purge')

/** The headers of `POST /`. */
export const createHeaders: z.ZodObject<{ 'idempotency-key': z.ZodOptional<z.ZodString> }> = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x20-\x7e]{1,255}$/)
    .optional()
    .openapi({ description: 'A repeated request with the same key returns the result of the first.' }),
})

/** The query of a route that has none. */
export const noQuery: z.ZodObject<Record<never, never>> = z.strictObject({})

/** The query of `GET /{id}/operations`. */
export const pageQuery: z.ZodObject<{
  cursor: z.ZodOptional<z.ZodString>
  limit: z.ZodOptional<z.ZodString>
}> = z.strictObject({ cursor: cursor.optional(), limit: limit.optional() })

/** The query of `GET /`. */
export const listQuery: z.ZodObject<{
  cursor: z.ZodOptional<z.ZodString>
  limit: z.ZodOptional<z.ZodString>
  state: z.ZodType<TenantState | TenantState[] | undefined>
  idPrefix: z.ZodOptional<z.ZodString>
  createdAfter: z.ZodType<string | undefined>
  createdBefore: z.ZodType<string | undefined>
  placement: z.ZodOptional<z.ZodString>
  total: z.ZodType<'true' | 'false' | undefined>
}> = pageQuery.extend({
  state: z
    .union([state, z.array(state)])
    .optional()
    .openapi({
      type: 'array',
      items: { $ref: '#/components/schemas/TenantState' },
      description: 'One or more states. The default is every state but `purged`.',
    }),
  idPrefix: z
    .string()
    .regex(/^[a-z0-9-]{1,63}$/)
    .optional(),
  createdAfter: time.optional().openapi({ description: 'Inclusive.' }),
  createdBefore: time.optional().openapi({ description: 'Exclusive.' }),
  placement: placement.optional(),
  total: z.enum(['true', 'false']).optional().openapi({ description: 'Count all that match.' }),
})

/** The query of `DELETE /{id}`: weeks, or days, hours, minutes and seconds. */
export const deleteQuery: z.ZodObject<{ retention: z.ZodOptional<z.ZodString> }> = z.strictObject({
  retention: z
    .string()
    .regex(/^P(?!$)(?:\d{1,4}W|(?:\d{1,5}D)?(?:T(?=\d)(?:\d{1,6}H)?(?:\d{1,6}M)?(?:\d{1,6}S)?)?)$/)
    .optional()
    .openapi({
      format: 'duration',
      example: 'P30D',
      description:
        'How long the database is kept, as an ISO 8601 duration of weeks, or of days, hours, minutes and seconds; ' +
        '`PT0S` destroys it immediately. The default is the `retention` of the catalog.',
    }),
})

const failure = z
  .strictObject({
    code: z.string(),
    message: z.string(),
    step: z.string().nullable(),
    retryAfter: z.number().nullable().openapi({ description: 'Seconds.' }),
    operation: z.string(),
  })
  .openapi('Failure', { description: 'Why an operation failed.' })

/** A tenant, as it is shown: never where its database is, nor what opens it. */
export const tenant: z.ZodType = z
  .strictObject({
    id,
    generation: z.int().openapi({ description: 'Which incarnation of the id, from 1.' }),
    uid: z.string().openapi({ description: 'Of this incarnation, as its database is stamped.' }),
    state: shownState,
    placement: z.string().nullable(),
    schemaVersion: z.string().nullable().openapi({ description: 'The last migration applied.' }),
    metadata,
    error: z.union([failure, z.null()]),
    operation: z.string().nullable().openapi({ description: 'Under way: nothing else may begin meanwhile.' }),
    lastOperation: z.string().nullable(),
    createdAt: time,
    updatedAt: time,
    readyAt: time.nullable().openapi({ description: 'When it was first active.' }),
    deletedAt: time.nullable(),
    purgeAfter: time.nullable().openapi({ description: 'Until then `undelete` brings it back.' }),
  })
  .openapi('Tenant')

export const tenantPage: z.ZodType = z
  .strictObject({
    tenants: z.array(tenant),
    cursor: z.string().nullable().openapi({ description: 'Of the next page; null on the last.' }),
    total: z.int().optional().openapi({ description: 'All that match, where it was asked for.' }),
  })
  .openapi('TenantPage')

const operationMembers = {
  id: z.string(),
  tenantId: z.string(),
  generation: z.int(),
  kind: z.enum(['provision', 'migrate', 'suspend', 'resume', 'deprovision', 'undelete', 'purge']),
  state: z.enum(['running', 'succeeded', 'failed']),
  attempt: z.int().openapi({ description: 'Above 1 another process took over from one that died.' }),
  error: z.union([failure, z.null()]),
  createdAt: time,
  finishedAt: time.nullable(),
}
const step = z
  .strictObject({
    step: z.string(),
    attempt: z.int(),
    outcome: z.enum(['started', 'succeeded', 'failed']),
    detail: z.string().nullable().openapi({ description: 'What the step created, reported or failed with.' }),
    startedAt: time,
    finishedAt: time.nullable(),
  })
  .openapi('Step')

export const operationPage: z.ZodType = z
  .strictObject({
    operations: z.array(z.strictObject(operationMembers).openapi('Operation')),
    cursor: z.string().nullable(),
  })
  .openapi('OperationPage')

export const operationDetail: z.ZodType = z
  .strictObject({ ...operationMembers, steps: z.array(step) })
  .openapi('OperationDetail')

/** RFC 9457. */
export const problem: z.ZodType = z
  .strictObject({
    type: z.literal('about:blank'),
    status: z.int(),
    code: z.string().openapi({ description: 'An error code of Tenantry: branch on it.' }),
    detail: z.string().optional().openapi({ description: 'Present for mistakes of the caller.' }),
  })
  .openapi('Problem')
