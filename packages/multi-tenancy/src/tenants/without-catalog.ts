import { TenancyError } from '../errors.ts'
import { type Opened, tenantOpener } from '../request/database.ts'
import type { DatabaseIsolation, DatabaseSource } from '../request/env.ts'
import { parseTenantId, type TenantId } from '../tenant-id.ts'
import type { Tenants } from '../types/lifecycle.ts'
import type { Progress } from '../types/progress.ts'
import type { TenantFactory } from '../types/tenant-factory.ts'
import type { HookCaller } from './hooks.ts'

/** The configuration's own provisioning, with the tenant id checked and errors coded. No tenant hooks run. */
export interface DatabaseHooks {
  /** @throws `invalid_tenant_id`, `not_supported` when there is none */
  onProvision(tenantId: string): Promise<void>
  /** @throws `invalid_tenant_id`, `not_supported` when there is none */
  onDeprovision(tenantId: string): Promise<void>
}

/** Without a catalog, progress is not recorded. */
const unrecorded: Progress = { report: () => {} }

/** `onProvision` and `onDeprovision` of a `databaseIsolation`, or a factory's `provision` and `deprovision`. */
export function databaseHooks(source: DatabaseSource<unknown>, reserved: ReadonlySet<string>): DatabaseHooks {
  const members = source as Partial<DatabaseIsolation & TenantFactory>
  const hook = (name: 'onProvision' | 'onDeprovision', member: 'provision' | 'deprovision') => {
    return async (tenantId: string) => {
      const id = parseTenantId(tenantId, reserved)
      try {
        if (members[name] !== undefined) await members[name](id, unrecorded)
        else if (members[member] !== undefined) await members[member](id)
        else throw new TenancyError('not_supported', `databaseIsolation has no ${name}`)
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
  readonly hooks: HookCaller
}

/** Without a catalog: creates and deletes tenants through the database hooks, with the tenant hooks around them. */
export function createTenants({ source, database, reserved, hooks }: TenantsOptions): Tenants {
  const open: (id: TenantId) => Promise<Opened<unknown>> = tenantOpener(source)
  const { given, before, after } = hooks
  const refuseOptions = (options: object) => {
    const option = Object.entries(options).find(([, value]) => value !== undefined)
    if (option !== undefined) throw needsCatalog(option[0])
  }
  const refuse = (what: string) => async () => {
    throw needsCatalog(what)
  }
  return {
    async create(tenantId, options = {}) {
      const id = parseTenantId(tenantId, reserved)
      refuseOptions(options)
      await before('beforeCreate', id, () => given.beforeCreate?.(id, { metadata: {}, placement: undefined }))
      await database.onProvision(id)
      await after('afterCreate', id, () => given.afterCreate?.(id, unrecorded))
      return { id, state: 'active' }
    },
    async get(tenantId) {
      return (await open(parseTenantId(tenantId, reserved))).tenant
    },
    async delete(tenantId, options = {}) {
      const id = parseTenantId(tenantId, reserved)
      refuseOptions(options)
      await before('beforeDelete', id, () => given.beforeDelete?.(id, { retention: undefined }))
      await database.onDeprovision(id)
      await after('afterDelete', id, () => given.afterDelete?.(id, unrecorded))
      return undefined
    },
    list: refuse('Listing tenants'),
    update: refuse('Updating a tenant'),
    undelete: refuse('Undeleting a tenant'),
    purge: refuse('Purging a tenant'),
    suspend: refuse('Suspending a tenant'),
    resume: refuse('Resuming a tenant'),
    retry: refuse('Retrying'),
    operations: refuse('A record of operations'),
    operation: refuse('A record of operations'),
  }
}

/** The answer where nothing is recorded. */
export function needsCatalog(what: string): TenancyError {
  return new TenancyError('not_supported', `${what} needs a catalog`)
}
