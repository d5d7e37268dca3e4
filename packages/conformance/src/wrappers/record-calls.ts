import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { type Call, interceptProvider } from './intercept-provider.ts'

export interface Recorded<Client> {
  readonly provider: TenantProvider<Client>
  /** All calls, in the order in which they began. */
  readonly calls: readonly Call[]
  /** Returns the number of calls of a member. */
  count(member: Call['member']): number
  /** Forgets all calls. */
  clear(): void
}

/**
 * Records every call of the service.
 *
 * @example
 * const { provider, count } = recordCalls(createMemoryProvider())
 * await defineFactory(provider).provision('acme')
 * count('create') // 1
 */
export function recordCalls<Client>(provider: TenantProvider<Client>): Recorded<Client> {
  const calls: Call[] = []
  const intercepted = interceptProvider(provider, (call, run) => {
    calls.push(call)
    return run()
  })
  return {
    provider: intercepted.provider,
    calls,
    count: (member) => calls.filter((call) => call.member === member).length,
    clear() {
      calls.length = 0
    },
  }
}
