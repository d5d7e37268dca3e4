import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

/**
 * The closed list of error codes. A new code also needs its row in `STATUS` below and its sentence in
 * scripts/error-sentences.ts, from which the tables of the READMEs are written.
 */
export type TenancyErrorCode =
  | 'invalid_tenant_id'
  | 'tenant_unresolved'
  | 'tenant_ambiguous'
  | 'tenant_not_found'
  | 'tenant_not_ready'
  | 'tenant_suspended'
  | 'unauthenticated'
  | 'forbidden'
  | 'invalid_request'
  | 'wrong_tenant'
  | 'stale_tenant'
  | 'name_taken'
  | 'conflict'
  | 'migration_failed'
  | 'migration_changed'
  | 'migration_missing'
  | 'migration_dirty'
  | 'migration_locked'
  | 'provider_rejected'
  | 'provider_unavailable'
  | 'credentials_rejected'
  | 'quota_exceeded'
  | 'rate_limited'
  | 'timeout'
  | 'pool_exhausted'
  | 'statement_refused'
  | 'not_supported'
  | 'config_invalid'
  | 'closed'
  | 'internal'

/** The HTTP status of each code; below 0 where trying the same call again can help. */
const STATUS: Readonly<Record<TenancyErrorCode, number>> = {
  invalid_tenant_id: 400,
  tenant_ambiguous: 400,
  invalid_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  statement_refused: 403,
  tenant_unresolved: 404,
  tenant_not_found: 404,
  name_taken: 409,
  conflict: 409,
  wrong_tenant: 500,
  migration_failed: 500,
  migration_changed: 500,
  migration_missing: 500,
  config_invalid: 500,
  internal: 500,
  not_supported: 501,
  provider_rejected: 502,
  credentials_rejected: 502,
  tenant_not_ready: -503,
  stale_tenant: -503,
  migration_locked: -503,
  provider_unavailable: -503,
  rate_limited: -503,
  pool_exhausted: -503,
  tenant_suspended: 503,
  migration_dirty: 503,
  quota_exceeded: 503,
  closed: 503,
  timeout: -504,
}

/** The HTTP status each code answers with, and whether trying the same call again can help. */
export const ERROR_CODES: Readonly<Record<TenancyErrorCode, { status: number; retryable: boolean }>> =
  /* @__PURE__ */ Object.fromEntries(
    /* @__PURE__ */ Object.entries(STATUS).map(([code, status]) => [
      code,
      { status: Math.abs(status), retryable: status < 0 },
    ]),
  ) as Record<TenancyErrorCode, { status: number; retryable: boolean }>

export interface TenancyErrorOptions {
  /** The caught error, without secrets (see `createRedactor`). */
  readonly cause?: unknown
  /** Seconds after which another try may succeed; sent as `Retry-After`. */
  readonly retryAfter?: number | undefined
  readonly tenantId?: string | undefined
  /** The step of a longer operation that failed, such as `create` or `migrate`. */
  readonly step?: string | undefined
}

/**
 * The one error class. Branch on `code`; messages may change.
 *
 * It is a Hono `HTTPException`: Hono, and an app's own `onError` handler that knows those, answer with `getResponse()`,
 * problem+json (RFC 9457). `message` starts with the code and the tenant, as in `[migration_locked] tenant "acme": …`;
 * `detail` is the text alone.
 */
export class TenancyError extends HTTPException {
  override readonly name = 'TenancyError'
  readonly code: TenancyErrorCode
  /** What happened, without the code and the tenant. */
  readonly detail: string
  readonly retryAfter: number | undefined
  readonly tenantId: string | undefined
  readonly step: string | undefined

  constructor(code: TenancyErrorCode, detail: string, options: TenancyErrorOptions = {}) {
    const { cause, tenantId } = options
    const subject = tenantId === undefined ? '' : ` tenant ${JSON.stringify(tenantId)}:`
    super(toStatus(code), { message: `[${code}]${subject} ${detail}`, cause })
    if (cause === undefined) delete this.cause
    this.code = code
    this.detail = detail
    this.retryAfter = options.retryAfter
    this.tenantId = tenantId
    this.step = options.step
  }

  /** Whether trying the same call again can help. */
  get retryable(): boolean {
    return STATUS[this.code] < 0
  }

  /** Code, detail and hints; never the cause. */
  toJSON(): Record<string, unknown> {
    const { code, detail, retryAfter, tenantId, step } = this
    return { code, detail, retryAfter, tenantId, step }
  }

  /**
   * The problem+json response (`type` about:blank: `status` and `code` say it all). Its `detail` is there for a client's
   * own mistake; of a server's fault the client receives the code and when to try again.
   */
  override getResponse(): Response {
    const { code, status, retryAfter, detail } = this
    const headers = new Headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
    if (retryAfter !== undefined) headers.set('retry-after', String(Math.max(1, Math.ceil(retryAfter))))
    else if (status === 503) headers.set('retry-after', '5')
    const problem = { type: 'about:blank', status, code, ...(status < 500 && { detail }) }
    return new Response(JSON.stringify(problem), { status, headers })
  }

  /** `cause` itself when it already has a code, else an `internal` error around it. */
  static from(cause: unknown): TenancyError {
    if (cause instanceof TenancyError) return cause
    return new TenancyError('internal', cause instanceof Error ? cause.message : 'Something failed', {
      cause,
    })
  }
}

function toStatus(code: TenancyErrorCode): ContentfulStatusCode {
  return Math.abs(STATUS[code]) as ContentfulStatusCode
}

/** The one answer for a tenant that is not there, for one on its way out, and for one that is out of reach. */
export function notFound(tenantId: string, cause?: unknown): TenancyError {
  return new TenancyError('tenant_not_found', 'There is no such tenant', { tenantId, cause })
}

/** A set-up mistake: thrown while constructing, naming the option. */
export function configError(option: string, problem: string): TenancyError {
  return new TenancyError('config_invalid', `${option}: ${problem}`)
}
