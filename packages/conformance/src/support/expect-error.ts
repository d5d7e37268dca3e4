import { AssertionError } from 'node:assert/strict'
import { TenancyError, type TenancyErrorCode } from '@tenantry/multi-tenancy'

/**
 * Returns the coded error that a call ends in.
 *
 * @param description names the call in the assertion's message
 * @param codes the accepted codes; every code is accepted without them
 * @throws AssertionError when the call succeeds or fails with any other error
 */
export async function expectError(
  description: string,
  call: () => Promise<unknown>,
  ...codes: readonly TenancyErrorCode[]
): Promise<TenancyError> {
  let value: unknown
  try {
    value = await call()
  } catch (error) {
    if (error instanceof TenancyError && (codes.length === 0 || codes.includes(error.code))) return error
    const expected = codes.length === 0 ? 'a TenancyError' : codes.join(' or ')
    throw new AssertionError({
      message: `${description}: expected ${expected}, received ${describeError(error)}`,
      actual: error,
      expected: codes,
    })
  }
  throw new AssertionError({
    message: `${description}: expected an error, but the call succeeded`,
    actual: value,
    expected: codes,
  })
}

/** Returns the coded error that a provider's member ends in: `mapError` gives its error a code. */
export async function expectMappedError(
  description: string,
  mapError: (cause: unknown) => TenancyError,
  call: () => Promise<unknown>,
): Promise<TenancyError> {
  const { cause } = await call().then(
    (value) => {
      const message = `${description}: expected an error, but the call succeeded`
      throw new AssertionError({ message, actual: value })
    },
    (error: unknown) => ({ cause: error }),
  )
  const error = mapError(cause)
  if (!(error instanceof TenancyError)) {
    throw new AssertionError({ message: `${description}: mapError returned no TenancyError`, actual: error })
  }
  if (error.code === 'internal') {
    throw new AssertionError({
      message: `${description}: mapError has no code for ${String(cause)}`,
      actual: error,
    })
  }
  return error
}

/** Returns the value of a call that must succeed. Its error becomes an assertion that names the call. */
export async function expectSuccess<Value>(description: string, call: () => Promise<Value>): Promise<Value> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof AssertionError) throw error
    const message = `${description}: expected success, received ${describeError(error)}`
    throw new AssertionError({ message, actual: error })
  }
}

function describeError(error: unknown): string {
  return error instanceof TenancyError ? `${error.code} (${error.message})` : String(error)
}
