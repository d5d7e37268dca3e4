import { type Lease, TenancyError } from '@tenantry/multi-tenancy'

/**
 * Lets each tenant have so many leases at once where all tenants share connections. (The pool's own limits go by key,
 * and turning a connection from key to key would cost more than the query; here nothing needs to be turned.)
 */
export interface Gate<Connection> {
  /**
   * A lease for the tenant, from `open`, once one of its own has ended if need be.
   *
   * @throws `pool_exhausted`; `tenant_not_ready` while it is drained; what `open` throws
   */
  acquire(key: string, open: () => Promise<Lease<Connection>>): Promise<Lease<Connection>>
  /** As the pool's `drain`, for one tenant's leases. */
  drain(key: string, deadline: number, during: () => Promise<void>): Promise<void>
}

interface Tenant<Connection> {
  /** Leases, and those being opened. */
  count: number
  readonly leases: Set<Lease<Connection>>
  readonly waiting: Set<Waiter>
  drains: number
  /** Called when the last lease has ended. */
  empty?: (() => void) | undefined
}

interface Waiter {
  go(): void
  refuse(error: TenancyError): void
}

const MAX_WAITING = 100

/** @param max leases of one tenant @param queueTimeout milliseconds */
export function createGate<Connection>(max: number, queueTimeout: number): Gate<Connection> {
  const tenants = new Map<string, Tenant<Connection>>()

  function tenantOf(key: string): Tenant<Connection> {
    const known = tenants.get(key)
    if (known !== undefined) return known
    const made = { count: 0, leases: new Set<Lease<Connection>>(), waiting: new Set<Waiter>(), drains: 0 }
    tenants.set(key, made)
    return made
  }

  function turn(tenant: Tenant<Connection>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (tenant.waiting.size >= MAX_WAITING) return reject(exhausted(queueTimeout))
      const leave = (): void => {
        clearTimeout(timer)
        tenant.waiting.delete(waiter)
      }
      const waiter: Waiter = {
        go() {
          leave()
          resolve()
        },
        refuse(error) {
          leave()
          reject(error)
        },
      }
      const timer = setTimeout(() => waiter.refuse(exhausted(queueTimeout)), queueTimeout)
      tenant.waiting.add(waiter)
    })
  }

  function leave(key: string, tenant: Tenant<Connection>): void {
    const [next] = tenant.waiting
    // The place is handed on, so that nobody overtakes.
    if (next !== undefined) {
      next.go()
      return
    }
    tenant.count--
    if (tenant.count > 0) return
    tenant.empty?.()
    if (tenant.drains === 0) tenants.delete(key)
  }

  return {
    async acquire(key, open) {
      const tenant = tenantOf(key)
      if (tenant.drains > 0) throw draining()
      if (tenant.count < max) tenant.count++
      else await turn(tenant)
      const lease = await open().catch((error: unknown) => {
        leave(key, tenant)
        throw error
      })
      const held = handle(lease, () => {
        tenant.leases.delete(held)
        leave(key, tenant)
      })
      tenant.leases.add(held)
      if (tenant.drains === 0) return held
      held.release()
      throw draining()
    },
    async drain(key, deadline, during) {
      const tenant = tenantOf(key)
      tenant.drains++
      try {
        for (const waiter of [...tenant.waiting]) waiter.refuse(draining())
        if (tenant.count > 0) {
          const ended = new Promise<void>((resolve) => {
            const previous = tenant.empty
            tenant.empty = () => {
              previous?.()
              resolve()
            }
          })
          const timer = setTimeout(() => {
            for (const lease of [...tenant.leases]) lease.destroy()
          }, deadline)
          await ended
          clearTimeout(timer)
        }
        await during()
      } finally {
        tenant.drains--
        tenant.empty = undefined
        if (tenant.count === 0 && tenant.drains === 0) tenants.delete(key)
      }
    },
  }
}

/** The lease, telling when it ends. */
function handle<Connection>(lease: Lease<Connection>, onEnd: () => void): Lease<Connection> {
  let ended = false
  const end = (how: 'release' | 'destroy'): void => {
    if (ended) return
    ended = true
    lease[how]()
    onEnd()
  }
  return {
    get connection() {
      return lease.connection
    },
    release: () => end('release'),
    destroy: () => end('destroy'),
  }
}

function draining(): TenancyError {
  return new TenancyError('tenant_not_ready', 'The tenant’s connections are being closed', { retryAfter: 2 })
}

function exhausted(ms: number): TenancyError {
  return new TenancyError('pool_exhausted', 'No database connection became free in time', {
    retryAfter: Math.max(1, Math.ceil(ms / 1_000)),
  })
}
