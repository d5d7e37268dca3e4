/** The closed list of what can go wrong; the README says what each means. */
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

/** The HTTP status each code answers with, and whether trying the same call again can help. */
export const ERROR_CODES: Readonly<Record<TenancyErrorCode, { status: number; retryable: boolean }>> = {
  invalid_tenant_id: { status: 400, retryable: false },
  tenant_unresolved: { status: 404, retryable: false },
  tenant_ambiguous: { status: 400, retryable: false },
  tenant_not_found: { status: 404, retryable: false },
  tenant_not_ready: { status: 503, retryable: true },
  tenant_suspended: { status: 503, retryable: false },
  unauthenticated: { status: 401, retryable: false },
  forbidden: { status: 403, retryable: false },
  invalid_request: { status: 400, retryable: false },
  wrong_tenant: { status: 500, retryable: false },
  stale_tenant: { status: 503, retryable: true },
  name_taken: { status: 409, retryable: false },
  conflict: { status: 409, retryable: false },
  migration_failed: { status: 500, retryable: false },
  migration_changed: { status: 500, retryable: false },
  migration_missing: { status: 500, retryable: false },
  migration_dirty: { status: 503, retryable: false },
  migration_locked: { status: 503, retryable: true },
  provider_rejected: { status: 502, retryable: false },
  provider_unavailable: { status: 503, retryable: true },
  credentials_rejected: { status: 502, retryable: false },
  quota_exceeded: { status: 503, retryable: false },
  rate_limited: { status: 503, retryable: true },
  timeout: { status: 504, retryable: true },
  pool_exhausted: { status: 503, retryable: true },
  statement_refused: { status: 403, retryable: false },
  not_supported: { status: 501, retryable: false },
  config_invalid: { status: 500, retryable: false },
  closed: { status: 503, retryable: false },
  internal: { status: 500, retryable: false },
}

export interface TenancyErrorOptions {
  /** What was caught. Clean it of secrets first (see `redactor`). */
  readonly cause?: unknown
  /** Seconds after which trying again makes sense; sent as `Retry-After`. */
  readonly retryAfter?: number
  readonly tenantId?: string
  /** The step of a longer operation that failed, such as `create` or `migrate`. */
  readonly step?: string
}

/**
 * The one error class. Branch on `code`; messages may change.
 *
 * Hono answers an uncaught one through `getResponse` with problem+json (RFC 9457), so no error handler is needed.
 */
export class TenancyError extends Error {
  override readonly name = 'TenancyError'
  readonly code: TenancyErrorCode
  readonly retryAfter: number | undefined
  readonly tenantId: string | undefined
  readonly step: string | undefined

  constructor(code: TenancyErrorCode, message: string, options: TenancyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryAfter = options.retryAfter
    this.tenantId = options.tenantId
    this.step = options.step
  }

  /** HTTP status of this code. */
  get status(): number {
    return ERROR_CODES[this.code].status
  }

  /** Whether trying the same call again can help. */
  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable
  }

  /** Code, message and hints; never the cause. */
  toJSON(): Record<string, unknown> {
    const { code, message, retryAfter, tenantId, step } = this
    return { code, message, retryAfter, tenantId, step }
  }

  /**
   * The problem+json answer. A message is shown only for a client's own mistake; of a server's fault
   * the client learns the code and when to come back.
   */
  getResponse(): Response {
    const { code, status, retryAfter } = this
    const headers = new Headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
    if (retryAfter !== undefined) headers.set('retry-after', String(Math.max(1, Math.ceil(retryAfter))))
    else if (status === 503) headers.set('retry-after', '5')
    const detail = status < 500 ? { detail: this.message } : {}
    const problem = { type: 'about:blank', title: TITLES[status] ?? 'Error', status, code, ...detail }
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

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** A set-up mistake: thrown while constructing, naming the option. */
export function configError(option: string, problem: string): TenancyError {
  return new TenancyError('config_invalid', `${option}: ${problem}`)
}
