import {
  createMemoryProvider,
  createMemoryServer,
  type MemoryClient,
  type MemoryServer,
} from '../../src/memory/index.ts'
import type { TenantProvider } from '../../src/types/provider.ts'

type Member = 'create' | 'find' | 'drop' | 'list' | 'connect' | 'query' | 'batch'

/** Creates the in-memory provider with a count of each member's calls. `overrides` replaces members. */
export function createRecordedProvider(
  overrides: Partial<TenantProvider<MemoryClient>> = {},
  server: MemoryServer = createMemoryServer(),
): { provider: TenantProvider<MemoryClient>; calls: Record<Member, number>; server: MemoryServer } {
  const calls: Record<Member, number> = {
    create: 0,
    find: 0,
    drop: 0,
    list: 0,
    connect: 0,
    query: 0,
    batch: 0,
  }
  const provider = { ...createMemoryProvider(server), ...overrides }
  for (const member of Object.keys(calls) as Member[]) {
    const original = provider[member] as (...args: unknown[]) => Promise<unknown>
    Object.assign(provider, {
      [member]: (...args: unknown[]) => {
        calls[member]++
        return original(...args)
      },
    })
  }
  return { provider, calls, server }
}
