import { AssertionError } from 'node:assert/strict'
import { TenancyError, type TenancyErrorCode } from '@tenantry/multi-tenancy'

/**
 * The coded error that `work` must end in.
 *
 * @throws AssertionError when it succeeds, or fails with something else
 */
export async function refuses(
  what: string,
  work: () => Promise<unknown>,
  ...codes: readonly TenancyErrorCode[]
): Promise<TenancyError> {
  let value: unknown
  try {
    value = await work()
  } catch (error) {
    if (error instanceof TenancyError && (codes.length === 0 || codes.includes(error.code))) return error
    const wanted = codes.length === 0 ? 'a TenancyError' : codes.join(' or ')
    throw new AssertionError({
      message: `${what}: expected ${wanted}, got ${error instanceof TenancyError ? `${error.code} (${error.message})` : String(error)}`,
      actual: error,
      expected: codes,
    })
  }
  throw new AssertionError({
    message: `${what}: expected to be refused, but it succeeded`,
    actual: value,
    expected: codes,
  })
}

/** As `refuses`, for bare members of a provider: whatever they throw is given its code by `mapError`. */
export async function refusesMapped(
  what: string,
  mapError: (cause: unknown) => TenancyError,
  work: () => Promise<unknown>,
): Promise<TenancyError> {
  let thrown: { cause: unknown }
  try {
    const value = await work()
    throw new AssertionError({ message: `${what}: expected to be refused, but it succeeded`, actual: value })
  } catch (cause) {
    if (cause instanceof AssertionError) throw cause
    thrown = { cause }
  }
  const error = mapError(thrown.cause)
  if (!(error instanceof TenancyError)) {
    throw new AssertionError({ message: `${what}: mapError returned no TenancyError`, actual: error })
  }
  if (error.code === 'internal') {
    throw new AssertionError({
      message: `${what}: mapError knows no code for ${String(thrown.cause)}`,
      actual: error,
    })
  }
  return error
}

/** Must succeed; its error becomes an assertion that says what was expected. */
export async function succeeds<Value>(what: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof AssertionError) throw error
    const text = error instanceof TenancyError ? `${error.code} (${error.message})` : String(error)
    throw new AssertionError({ message: `${what}: expected to succeed, got ${text}`, actual: error })
  }
}
