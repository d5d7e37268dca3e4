import {
  createMemoryProvider,
  createMemoryServer,
  type MemoryClient,
  type MemoryServer,
} from '../../src/memory/index.ts'
import type { TenantProvider } from '../../src/types/provider.ts'
import type { Environment } from '../../src/util/environment.ts'

/** A world whose time only passes while somebody sleeps, and whose chance is always one half. */
export function virtualTime(
  runtime: Environment['runtime'] = 'node',
): Environment & { advance(ms: number): void; slept: number[] } {
  let now = 1_000_000
  const slept: number[] = []
  return {
    runtime,
    slept,
    now: () => now,
    async sleep(ms) {
      slept.push(ms)
      now += ms
    },
    random: () => 0.5,
    advance(ms) {
      now += ms
    },
  }
}

type Member = 'create' | 'find' | 'drop' | 'list' | 'connect' | 'query' | 'batch'

/** The in-memory provider, counting calls, with members replaced by a test. */
export function recorded(
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

/** A promise that a test opens. */
export function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => {
    open = resolve
  })
  return { promise, open }
}
