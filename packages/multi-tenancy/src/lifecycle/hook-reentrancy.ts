import type { OperationHooks } from '../types/lifecycle.ts'

type Nestable = 'onProvision' | 'onDeprovision'

/** Which hooks this process is running, for which tenants. */
export interface Nesting {
  has(hook: Nestable, tenantId: string): boolean
  /** The same hooks, noted while they run. */
  track(hooks: OperationHooks): OperationHooks
}

export function createNesting(): Nesting {
  // Counted: a runner that was thought dead may still be in its hook when the next one begins.
  const running = new Map<string, number>()

  function tracked(hook: Nestable, run: OperationHooks[Nestable]): OperationHooks {
    if (run === undefined) return {}
    return {
      async [hook](...[tenantId, progress]: Parameters<typeof run>) {
        const key = `${hook} ${tenantId}`
        running.set(key, (running.get(key) ?? 0) + 1)
        try {
          await run(tenantId, progress)
        } finally {
          const left = (running.get(key) ?? 1) - 1
          if (left > 0) running.set(key, left)
          else running.delete(key)
        }
      },
    }
  }

  return {
    has: (hook, tenantId) => running.has(`${hook} ${tenantId}`),
    track: (hooks) => ({
      ...hooks,
      ...tracked('onProvision', hooks.onProvision),
      ...tracked('onDeprovision', hooks.onDeprovision),
    }),
  }
}
