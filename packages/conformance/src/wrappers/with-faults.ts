import { TenancyError, type TenantProvider } from '@tenantry/multi-tenancy/provider'
import { type Call, interceptProvider } from './intercept-provider.ts'

/**
 * How the chosen call fails:
 * - `before`: it is not sent and throws `provider_unavailable`, which the core retries
 * - `after`: it is sent, its reply is lost, and it throws `provider_unavailable`
 * - `fatal`: it is sent and throws `provider_rejected`, so the operation ends in an error
 * - `dies-before`, `dies-after`: the process ends before or after the call. This call and all later ones never return,
 *   and open transactions are rolled back
 * - `dies-midway`: the process ends after the first statement of a batch that is not atomic
 */
export type FaultKind = 'before' | 'after' | 'fatal' | 'dies-before' | 'dies-after' | 'dies-midway'

export interface Fault {
  readonly kind: FaultKind
  /** The one call that fails: its index, or a function that chooses it. */
  readonly at: number | ((call: Call) => boolean)
}

export interface Faulty<Client> {
  readonly provider: TenantProvider<Client>
  /** Returns the call that failed, or `undefined` before. */
  fired(): Call | undefined
  /** Resolves when the process has died and the service has rolled back its transactions. */
  readonly died: Promise<void>
}

/**
 * Returns a provider whose service fails at one call, once.
 *
 * @example
 * // The reply to `create` is lost: the database exists, and the caller does not know.
 * const { provider } = withFaults(createMemoryProvider(), { kind: 'after', at: (call) => call.member === 'create' })
 */
export function withFaults<Client>(inner: TenantProvider<Client>, { kind, at }: Fault): Faulty<Client> {
  const dies = kind.startsWith('dies')
  const atomic = inner.capabilities.transactionalDdl
  let counted = 0
  let failedCall: Call | undefined
  let dead = false
  let die: () => void = () => {}
  const died = new Promise<void>((resolve) => {
    die = resolve
  })

  function isChosen(call: Call): boolean {
    // The process dies before or after a connect, never within it: the provider would wait without end.
    if (failedCall !== undefined || (dies && call.member === 'verify')) return false
    if (kind === 'dies-midway' && (atomic || !Array.isArray(call.subject) || call.subject.length < 2))
      return false
    return typeof at === 'function' ? at(call) : at === counted++
  }

  const intercepted = interceptProvider(inner, async (call, run) => {
    if (dead) return never()
    if (!isChosen(call)) return run()
    failedCall = call
    dead = kind === 'dies-before'
    if (kind === 'before') throw unavailable(call, 'refused the connection')
    // The reply is lost, also when it is an error.
    if (kind === 'dies-midway') await call.partly?.(1).catch(() => {})
    else if (kind !== 'dies-before') await run().catch(() => {})
    if (kind === 'after') throw unavailable(call, 'lost the reply')
    if (kind === 'fatal') throw new TenancyError('provider_rejected', `Injected: refused (${call.member})`)
    dead = true
    await intercepted.abandon()
    die()
    return never()
  })

  return { provider: intercepted.provider, fired: () => failedCall, died }
}

function unavailable(call: Call, what: string): TenancyError {
  return new TenancyError('provider_unavailable', `Injected: the service ${what} (${call.member})`)
}

function never(): Promise<never> {
  return new Promise(() => {})
}
