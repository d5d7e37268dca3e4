import { TenancyError, type TenancyErrorCode } from '../errors.ts'
import type { Redactor } from './redactor.ts'

/** Turns what was thrown into errors an app may see. */
export interface ErrorMap {
  /** The coded error, without secrets, for anything a member or a client in use threw. Leaves a `TenancyError` as it is. */
  mapError(cause: unknown): TenancyError
  /** What a client's user gets: the native error of a refused statement, as native code expects; else the coded one. */
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
  /** A code alone is tried again after a second, if it is `provider_unavailable`. */
  readonly classify: (error: Error) => TenancyErrorCode | ErrorClassification
  /**
   * Whether the database refused a statement, and the error may be shown as it is.
   *
   * @default none is
   */
  readonly isRefusedStatement?: (error: unknown) => boolean
  /** Knows what must not be shown. */
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
    const meaning = error === cause ? classify(error) : 'internal'
    const {
      code,
      message = error.message,
      retryAfter,
    } = typeof meaning === 'string' ? alone(meaning) : meaning
    return new TenancyError(code, redactor?.text(message) ?? message, {
      cause: redactor ? redactor.error(cause) : cause,
      retryAfter,
    })
  }

  return { mapError, toClientError: (error) => (isRefusedStatement(error) ? error : mapError(error)) }
}

function alone(code: TenancyErrorCode): ErrorClassification {
  return { code, retryAfter: code === 'provider_unavailable' ? 1 : undefined }
}
