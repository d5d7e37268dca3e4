import type { Context } from 'hono'

type Bindings = Readonly<Record<PropertyKey, unknown>>

/** The original of each copied environment: Node's server reads from it the mark that `upgradeWebSocket` sets. */
const originals = new WeakMap<object, Record<PropertyKey, unknown>>()

/**
 * A copy of the request's environment with the tenant's adapters as `data`. The environment itself is never given them:
 * Workers and Node hand the same object to requests of other tenants. Where the environment is the server itself (Bun)
 * or an object with getters, the copy has those members too, bound to it: `getConnInfo` and `upgradeWebSocket` need them.
 */
export function copyEnv(env: Bindings | undefined, data: unknown): object {
  const copy = { ...env, data }
  if (env === undefined || env === null) return copy
  originals.set(copy, env as Record<PropertyKey, unknown>)
  let prototype: object | null = Object.getPrototypeOf(env)
  while (prototype !== null && prototype !== Object.prototype) {
    for (const name of Reflect.ownKeys(prototype)) {
      if (name !== 'constructor' && !(name in copy)) inherit(copy, env, name)
    }
    prototype = Object.getPrototypeOf(prototype)
  }
  return copy
}

function inherit(copy: object, env: Bindings, name: PropertyKey): void {
  Object.defineProperty(copy, name, {
    configurable: true,
    get() {
      const value = env[name]
      return typeof value === 'function' ? value.bind(env) : value
    },
  })
}

/**
 * Hands the mark of an accepted WebSocket upgrade on to Node's server, which gave this request an environment of its own
 * (`incoming`) and reads the mark there, under a symbol. Nothing else that a handler sets is handed on.
 */
export function forwardUpgradeMark(c: Context): void {
  if (c.req.raw.headers.get('upgrade')?.toLowerCase() !== 'websocket') return
  const copy = c.env as Record<PropertyKey, unknown>
  const original = originals.get(copy)
  if (original === undefined || original.incoming === undefined) return
  for (const symbol of Object.getOwnPropertySymbols(copy)) {
    if (!(symbol in original)) original[symbol] = copy[symbol]
  }
}
