import { TenancyError, type TenancyErrorCode } from '../errors.ts'
import type { Redactor } from './redactor.ts'

/** Turns the errors of a driver into errors that an app may see. */
export interface ErrorMap {
  /** The coded error, without secrets, for any error of a member or of a client. Returns a `TenancyError` unchanged. */
  mapError(cause: unknown): TenancyError
  /** The error for a client's user: the native error of a refused statement, as native code expects; else the coded one. */
  toClientError(error: unknown): unknown
}

/** A native error in our terms. */
export interface ErrorClassification {
  readonly code: TenancyErrorCode
  /** @default the native one */
  readonly message?: string
  /** Seconds. */
  readonly retryAfter?: number | undefined
}

export interface ErrorMapOptions {
  /** A result that is only the code `provider_unavailable` gets a `retryAfter` of one second. */
  readonly classify: (error: Error) => TenancyErrorCode | ErrorClassification
  /**
   * Whether the database refused a statement, and the error may be shown as it is.
   *
   * @default none is
   */
  readonly isRefusedStatement?: (error: unknown) => boolean
  /** Knows the secrets that errors must not contain. */
  readonly redactor?: Redactor
}

/**
 * The errors of a provider, from its table of native codes.
 *
 * @example
 * const { mapError, toClientError } = createErrorMap({ redactor, classify: ({ code }) => CODES[code] ?? 'provider_rejected' })
 */
export function createErrorMap({
  classify,
  isRefusedStatement = () => false,
  redactor,
}: ErrorMapOptions): ErrorMap {
  function mapError(cause: unknown): TenancyError {
    if (cause instanceof TenancyError) return cause
    const error = cause instanceof Error ? cause : new Error('Something failed')
    const classification = error === cause ? classify(error) : 'internal'
    const {
      code,
      message = error.message,
      retryAfter,
    } = typeof classification === 'string' ? toClassification(classification) : classification
    return new TenancyError(code, redactor?.text(message) ?? message, {
      cause: redactor ? redactor.error(cause) : cause,
      retryAfter,
    })
  }

  return { mapError, toClientError: (error) => (isRefusedStatement(error) ? error : mapError(error)) }
}

function toClassification(code: TenancyErrorCode): ErrorClassification {
  return { code, retryAfter: code === 'provider_unavailable' ? 1 : undefined }
}
