import { TenancyError } from '../errors.ts'
import type { Environment } from '../util/environment.ts'
import { catalogError } from './connection.ts'

const MAX_ATTEMPTS = 4

/**
 * Retries a write whose response may be lost, so `write` may run several times. The value of a write that resolves
 * with one is its outcome. Otherwise `readBack` reads the outcome; it receives whether the last write got a response, and
 * resolves with `undefined` to have the write repeated.
 *
 * @throws `provider_unavailable` when the database does not answer in 4 attempts
 */
export async function writeAndConfirm<Value>(
  environment: Environment,
  write: () => Promise<Value | undefined>,
  readBack: (answered: boolean) => Promise<Value | undefined>,
): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    let failure: unknown
    let answered = true
    const outcome = await write().catch((error: unknown) => {
      failure = error
      answered = false
      return undefined
    })
    if (outcome !== undefined) return outcome
    const value = await retryTransient(environment, () => readBack(answered))
    if (value !== undefined) return value
    if (attempt >= MAX_ATTEMPTS) throw catalogError(failure)
    await backOff(environment, attempt)
  }
}

/** Repeats a read, or a write that may be repeated without reading its outcome, over short outages. */
export async function retryTransient<Value>(
  environment: Environment,
  work: () => Promise<Value>,
): Promise<Value> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (cause) {
      // Drivers report an outage with codes that `catalogError` may not know: only coded refusals are final.
      const final = attempt >= MAX_ATTEMPTS || (cause instanceof TenancyError && !cause.retryable)
      if (final) throw catalogError(cause)
      await backOff(environment, attempt)
    }
  }
}

function backOff(environment: Environment, attempt: number): Promise<void> {
  return environment.sleep(25 * 2 ** attempt * (1 + environment.random()))
}
