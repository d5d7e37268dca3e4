import { TenancyError, type TenantProvider } from '@tenantry/multi-tenancy'
import { type Call, interceptProvider } from './intercept-provider.ts'

/**
 * What happens at the chosen call:
 * - `before`: nothing is done; `provider_unavailable`, which the core tries again
 * - `after`: it is done, but the reply is lost; `provider_unavailable`
 * - `fatal`: it is done, but reported as refused for good (`provider_rejected`), so the operation ends in an error
 * - `dies-before`, `dies-after`: the process ends there: this call and every later one never returns, what
 *   transactions are open are rolled back
 * - `dies-midway`: as those, after the first statement of a batch that is not atomic
 */
export type FaultKind = 'before' | 'after' | 'fatal' | 'dies-before' | 'dies-after' | 'dies-midway'

export interface Fault {
  readonly kind: FaultKind
  /** Which call it strikes, once: its place among the calls, or what tells it. */
  readonly at: number | ((call: Call) => boolean)
}

export interface Faulty<Client> {
  readonly provider: TenantProvider<Client>
  /** The call that was struck, or `undefined` as long as none was. */
  fired(): Call | undefined
  /** Resolves when the process has died and the service has noticed. */
  readonly died: Promise<void>
}

/**
 * A provider whose service fails once, at one call.
 *
 * @example
 * // The reply to CREATE is lost: the database is there, and the caller does not know.
 * const { provider } = withFaults(createMemoryProvider(), { kind: 'after', at: (call) => call.member === 'create' })
 */
export function withFaults<Client>(inner: TenantProvider<Client>, { kind, at }: Fault): Faulty<Client> {
  const dies = kind.startsWith('dies')
  const atomic = inner.capabilities.transactionalDdl
  let counted = 0
  let struck: Call | undefined
  let dead = false
  let die: () => void = () => {}
  const died = new Promise<void>((resolve) => {
    die = resolve
  })

  function strikes(call: Call): boolean {
    // A provider must not be left waiting inside its own connect: there the process dies before or after it.
    if (struck !== undefined || (dies && call.member === 'verify')) return false
    if (kind === 'dies-midway' && (atomic || !Array.isArray(call.subject) || call.subject.length < 2))
      return false
    return typeof at === 'function' ? at(call) : at === counted++
  }

  const intercepted = interceptProvider(inner, async (call, run) => {
    if (dead) return never()
    if (!strikes(call)) return run()
    struck = call
    dead = kind === 'dies-before'
    if (kind === 'before') throw unavailable(call, 'refused the connection')
    // What the service answered, an error too, is lost.
    if (kind === 'dies-midway') await call.partly?.(1).catch(() => {})
    else if (kind !== 'dies-before') await run().catch(() => {})
    if (kind === 'after') throw unavailable(call, 'lost the reply')
    if (kind === 'fatal') throw new TenancyError('provider_rejected', `Injected: refused (${call.member})`)
    dead = true
    await intercepted.abandon()
    die()
    return never()
  })

  return { provider: intercepted.provider, fired: () => struck, died }
}

function unavailable(call: Call, what: string): TenancyError {
  return new TenancyError('provider_unavailable', `Injected: the service ${what} (${call.member})`)
}

function never(): Promise<never> {
  return new Promise(() => {})
}
