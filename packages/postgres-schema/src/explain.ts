import { classifyConnectionError, type Redactor, TenancyError } from '@tenantry/multi-tenancy/provider'
import { failedLoginCheck } from './connections/login.ts'
import { ScopeRejectedError } from './connections/pipeline.ts'
import type { Schemas } from './control-plane/schemas.ts'
import { isLoginRefused, isState } from './errors.ts'
import type { SchemaPlace } from './locator.ts'

export interface ExplainerOptions {
  readonly getSite: (server: string) => { readonly schemas: Schemas }
  readonly toClientError: (error: unknown) => unknown
  readonly redactor: Redactor
  readonly connectTimeout: number
}

/** Throws the reason why a statement of a client failed. Reads the tenant's schema where that decides. */
export type Explainer = (place: SchemaPlace, error: unknown, onDatabaseGone: () => void) => Promise<never>

/** Explains errors of clients in use: the tenant's schema may be missing, created again, or closed. */
export function createExplainer({
  getSite,
  toClientError,
  redactor,
  connectTimeout,
}: ExplainerOptions): Explainer {
  /**
   * The error where the schema exists and is open. While many roles are granted, a session may keep the rights that it
   * read before, and is ended; a caller that was refused while the schema was opened succeeds with the next try.
   */
  function explainRefusal(cause: unknown): TenancyError {
    return new TenancyError('provider_unavailable', "The session was refused the tenant's role", {
      cause: redactor.error(cause),
      retryAfter: 1,
    })
  }

  return async (place, error, onDatabaseGone) => {
    const refused = error instanceof ScopeRejectedError
    if (refused && isState(error.cause, '22P02')) throw failedLoginCheck(error.message)
    if (!refused && !isState(error, '28000', '28P01', '3F000', '42P01', '57P01')) throw toClientError(error)
    const signal = AbortSignal.timeout(connectTimeout)
    const schema = await getSite(place.server)
      .schemas.find(place.schema, { signal })
      .then((now) => now && { same: now.id === place.id && now.oid === place.oid, closed: now.closed })
      .catch(() => ({ same: true }))
    const cause = refused ? error.cause : error
    const passes = (refused && isState(cause, '42501', '42704')) || isLoginRefused(cause)
    throw classifyConnectionError(schema, {
      cause: passes ? explainRefusal(cause) : toClientError(cause),
      onDatabaseGone,
    })
  }
}
