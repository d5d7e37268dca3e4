/**
 * A `TenancyError` as tests read it. The type is structural, so that this package depends on none of the packages
 * whose tests use it.
 */
export interface CodedError extends Error {
  readonly name: 'TenancyError'
  readonly code: string
  readonly status: number
  readonly retryable: boolean
  readonly retryAfter: number | undefined
  readonly tenantId: string | undefined
  readonly step: string | undefined
}

type Work = PromiseLike<unknown> | (() => unknown)

/**
 * Returns the `TenancyError` that a promise rejects with, or that a function throws or rejects with.
 *
 * @throws when the work succeeds, and when it fails with any other error (which is the `cause`)
 * @example
 * expect(await captureError(factory.getAdapters('unknown'))).toMatchObject({ code: 'tenant_not_found' })
 */
export async function captureError(work: Work): Promise<CodedError> {
  let value: unknown
  try {
    value = await run(work)
  } catch (error) {
    if (isCodedError(error)) return error
    throw new Error(`Expected a TenancyError, received: ${String(error)}`, { cause: error })
  }
  throw new Error(`Expected a TenancyError, but the call succeeded with ${describeValue(value)}`)
}

/** Returns `succeeded`, or the code of the `TenancyError` that the work fails with, or `uncoded: …` for any other error. */
export async function getOutcome(work: Work): Promise<string> {
  try {
    await run(work)
    return 'succeeded'
  } catch (error) {
    return isCodedError(error) ? error.code : `uncoded: ${String(error)}`
  }
}

async function run(work: Work): Promise<unknown> {
  return typeof work === 'function' ? work() : work
}

function isCodedError(error: unknown): error is CodedError {
  return error instanceof Error && error.name === 'TenancyError' && 'code' in error
}

/** A client or a connection can be large or circular, so objects are described by their class only. */
function describeValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return Array.isArray(value) ? `an array of ${value.length}` : `an object (${value.constructor?.name})`
}
