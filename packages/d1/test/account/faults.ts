/** What may go wrong on the way to the API, and there. */
export interface Faults {
  /** Runs a request through what is switched on. */
  around(request: string, work: () => Promise<Response>): Promise<Response>
  /** The next `times` requests that match are answered so, before or after they are carried out. */
  answer(match: RegExp, fault: Fault, times?: number): void
  /** Lets `limit` requests through in each window, by the given clock, as Cloudflare does. */
  limit(limit: number, windowMs: number, now: () => number): RateWindow
  clear(): void
}

export interface RateWindow {
  /** Requests refused: a well-behaved caller sends none. */
  refused: number
  readonly accepted: number[]
}

export type Fault =
  | { readonly kind: 'drop-request' | 'drop-reply' }
  | {
      readonly kind: 'before' | 'after'
      readonly status: number
      readonly body: unknown
      readonly headers?: Record<string, string>
    }

export function createFaults(): Faults {
  const armed: { match: RegExp; fault: Fault; left: number }[] = []
  let window: ((request: string) => Response | undefined) | undefined

  function answerOf(fault: Fault): Response {
    if (!('status' in fault)) throw new TypeError('fetch failed')
    const body = typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body)
    return new Response(body, { status: fault.status, headers: fault.headers ?? {} })
  }

  return {
    async around(request, work) {
      const refusal = window?.(request)
      if (refusal !== undefined) return refusal
      const hit = armed.find(({ match, left }) => left > 0 && match.test(request))
      if (hit === undefined) return work()
      hit.left--
      if (hit.fault.kind === 'after' || hit.fault.kind === 'drop-reply') await work()
      return answerOf(hit.fault)
    },
    answer(match, fault, times = 1) {
      armed.push({ match, fault, left: times })
    },
    limit(limit, windowMs, now) {
      const state: RateWindow = { refused: 0, accepted: [] }
      let blockedUntil = 0
      window = () => {
        const time = now()
        const recent = state.accepted.filter((at) => at > time - windowMs)
        if (time >= blockedUntil && recent.length < limit) {
          state.accepted.push(time)
          return undefined
        }
        state.refused++
        blockedUntil = Math.max(blockedUntil, time + windowMs)
        return new Response('{}', { status: 429, headers: { 'retry-after': String(windowMs / 1_000) } })
      }
      return state
    },
    clear() {
      armed.length = 0
      window = undefined
    },
  }
}
