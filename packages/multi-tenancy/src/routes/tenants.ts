import type { TenantFactory } from '../database-factory.ts'
import { TenancyError } from '../errors.ts'
import { type Opened, tenantOpener } from '../middleware/database.ts'
import type { DatabaseIsolation, DatabaseSource, RequestTenant } from '../middleware/env.ts'
import { checkFunctions, checkOptions } from '../resolvers/options.ts'
import { parseTenantId, type TenantId } from '../tenant-id.ts'

/**
 * Called around a tenant's creation and deletion, in this order: before, the database's own provision or
 * deprovision, after. A `before` that throws stops it there and its error is the answer. An `after` that
 * throws changes nothing, for the thing is done: its error goes to `onHookError`. Since creating and deleting
 * may be called again after a failure, so may every hook.
 */
export interface TenantHooks {
  beforeCreate?(tenantId: TenantId): void | Promise<void>
  afterCreate?(tenantId: TenantId): void | Promise<void>
  beforeDelete?(tenantId: TenantId): void | Promise<void>
  afterDelete?(tenantId: TenantId): void | Promise<void>
}

/** Tenant management in process. Who calls it is trusted; `multiTenancy.app` asks who it is first. */
export interface Tenants {
  /**
   * Makes a tenant with its database, hooks included. Calling it again continues or confirms.
   * @throws `invalid_tenant_id`, `not_supported` without `onProvision`, what provisioning throws
   */
  create(tenantId: string): Promise<void>
  /**
   * A tenant that can be served.
   * @throws `invalid_tenant_id`, `tenant_not_found`, what opening throws
   */
  get(tenantId: string): Promise<RequestTenant>
  /**
   * Deletes a tenant's database, hooks included. Absent is done.
   * @throws `invalid_tenant_id`, `not_supported` without `onDeprovision`, what deprovisioning throws
   */
  delete(tenantId: string): Promise<void>
}

/** The configuration's own provisioning, with the tenant id checked and errors coded. No tenant hooks run. */
export interface DatabaseHooks {
  /** @throws `invalid_tenant_id`, `not_supported` when there is none */
  onProvision(tenantId: string): Promise<void>
  /** @throws `invalid_tenant_id`, `not_supported` when there is none */
  onDeprovision(tenantId: string): Promise<void>
}

/** `onProvision` and `onDeprovision` of a `databaseIsolation`, or a factory's `provision` and `deprovision`. */
export function databaseHooks(source: DatabaseSource<unknown>, reserved: ReadonlySet<string>): DatabaseHooks {
  const given = source as Partial<DatabaseIsolation & TenantFactory>
  const hook = (name: 'onProvision' | 'onDeprovision', member: 'provision' | 'deprovision') => {
    return async (tenantId: string) => {
      const id = parseTenantId(tenantId, reserved)
      const used = given[name] === undefined ? member : name
      if (given[used] === undefined)
        throw new TenancyError('not_supported', `databaseIsolation has no ${name}`)
      try {
        await given[used](id)
      } catch (cause) {
        throw TenancyError.from(cause)
      }
    }
  }
  return {
    onProvision: hook('onProvision', 'provision'),
    onDeprovision: hook('onDeprovision', 'deprovision'),
  }
}

export interface TenantsOptions {
  readonly source: DatabaseSource<unknown>
  readonly database: DatabaseHooks
  readonly reserved: ReadonlySet<string>
  readonly hooks?: TenantHooks | undefined
  /** @default console.error */
  readonly onHookError?: ((error: TenancyError) => void) | undefined
}

/** Creates and deletes tenants through the database hooks, with the tenant hooks around them. */
export function createTenants(options: TenantsOptions): Tenants {
  const { source, database, reserved, hooks = {}, onHookError = (error) => console.error(error) } = options
  const names = ['beforeCreate', 'afterCreate', 'beforeDelete', 'afterDelete'] as const
  checkOptions(hooks, 'hooks', names)
  checkFunctions(hooks, 'hooks', names)
  const open: (id: TenantId) => Promise<Opened<unknown>> = tenantOpener(source)

  const run = async (step: keyof TenantHooks, id: TenantId) => {
    try {
      await hooks[step]?.(id)
    } catch (cause) {
      throw hookError(cause, id, step)
    }
  }
  const runAfter = async (step: 'afterCreate' | 'afterDelete', id: TenantId) => {
    try {
      await run(step, id).catch(onHookError)
    } catch {
      // Whoever is told of errors failed too, and the thing is done.
    }
  }
  return {
    async create(tenantId) {
      const id = parseTenantId(tenantId, reserved)
      await run('beforeCreate', id)
      await database.onProvision(id)
      await runAfter('afterCreate', id)
    },
    async get(tenantId) {
      return (await open(parseTenantId(tenantId, reserved))).tenant
    },
    async delete(tenantId) {
      const id = parseTenantId(tenantId, reserved)
      await run('beforeDelete', id)
      await database.onDeprovision(id)
      await runAfter('afterDelete', id)
    },
  }
}

function hookError(cause: unknown, tenantId: TenantId, step: string): TenancyError {
  if (cause instanceof TenancyError) return cause
  const { message } = TenancyError.from(cause)
  return new TenancyError('internal', `${step}: ${message}`, { cause, tenantId, step })
}
