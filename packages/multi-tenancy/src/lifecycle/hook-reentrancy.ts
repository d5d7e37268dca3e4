import type { OperationHooks } from '../types/lifecycle.ts'

type TrackedHook = 'onProvision' | 'onDeprovision'

/** Knows which hooks this process is running, and for which tenants. */
export interface HookReentrancy {
  isRunning(hook: TrackedHook, tenantId: string): boolean
  /** The same hooks, counted while they run. */
  track(hooks: OperationHooks): OperationHooks
}

export function createHookReentrancy(): HookReentrancy {
  // Counted: a runner whose lease expired may still be in its hook when the next runner calls the hook.
  const running = new Map<string, number>()

  function trackHook(name: TrackedHook, hook: OperationHooks[TrackedHook]): OperationHooks {
    if (hook === undefined) return {}
    return {
      async [name](...[tenantId, progress]: Parameters<typeof hook>) {
        const key = `${name} ${tenantId}`
        running.set(key, (running.get(key) ?? 0) + 1)
        try {
          await hook(tenantId, progress)
        } finally {
          const count = (running.get(key) ?? 1) - 1
          if (count > 0) running.set(key, count)
          else running.delete(key)
        }
      },
    }
  }

  return {
    isRunning: (hook, tenantId) => running.has(`${hook} ${tenantId}`),
    track: (hooks) => ({
      ...hooks,
      ...trackHook('onProvision', hooks.onProvision),
      ...trackHook('onDeprovision', hooks.onDeprovision),
    }),
  }
}
