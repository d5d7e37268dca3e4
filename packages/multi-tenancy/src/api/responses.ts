import type { z } from '@hono/zod-openapi'
import { problem } from './schemas.ts'

interface Described {
  readonly description: string
  readonly content?: Readonly<Record<string, { readonly schema: z.ZodType }>>
}

const failed = (description: string): Described => ({
  description,
  content: { 'application/problem+json': { schema: problem } },
})

/** What every route may answer beside its own. */
const common = {
  400: failed('The request is not understood: nothing was done.'),
  401: failed('No accepted token.'),
  403: failed('Not the control plane, or what not even that may do.'),
  default: failed('A fault of the service: `code` says which. With 503 and `Retry-After`, try again.'),
}

/** An answer in JSON. */
export function json(schema: z.ZodType, description: string): Described {
  return { description, content: { 'application/json': { schema } } }
}

/** The answers of a route: its own, and the errors that every one has. */
export function responses(
  own: Readonly<Record<number, Described>>,
  { notFound = false, conflict = false }: { notFound?: boolean; conflict?: boolean } = {},
): Record<string, Described> {
  return {
    ...own,
    ...common,
    ...(notFound && { 404: failed('There is no such tenant or operation.') }),
    ...(conflict && {
      409: failed('The state of the tenant, another operation or an idempotency key forbids it.'),
    }),
  }
}
