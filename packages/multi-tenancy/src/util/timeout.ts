import { TenancyError } from '../errors.ts'
import type { CallOptions } from '../types/provider.ts'

const MICROTASKS = 30

/**
 * Stops waiting after `ms` milliseconds, also for a driver that ignores the signal. Timers and signals are expensive in
 * a Worker, and opening a known tenant waits for nothing: work that is done within some microtasks gets none.
 *
 * @throws `timeout`
 */
export async function withTimeout<Value>(
  ms: number,
  work: (options: CallOptions) => Promise<Value>,
): Promise<Value> {
  let controller: AbortController | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let settled = false
  const call = {
    get signal() {
      controller ??= new AbortController()
      return controller.signal
    },
  }
  const result = work(call).finally(() => {
    settled = true
    if (timer) clearTimeout(timer)
  })
  for (let turn = 0; turn < MICROTASKS && !settled; turn++) await undefined
  if (settled) return result
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new TenancyError('timeout', `No response within ${Math.round(ms)} ms`)
      reject(error)
      controller ??= new AbortController()
      controller.abort(error)
    }, ms)
  })
  return Promise.race([result, late])
}
