import { hookError } from '../database/hook-error.ts'
import type { DatabaseIsolation } from '../request/env.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Lifecycle, OperationHooks, Tenants } from '../types/lifecycle.ts'
import type { Progress } from '../types/progress.ts'
import type { TenantRecord } from '../types/record.ts'
import type { HookCaller } from './hooks.ts'

/** With a catalog: everything is a recorded operation, and its hooks are steps of it. */
export function createRecordedTenants(
  lifecycle: Lifecycle,
  source: Partial<DatabaseIsolation>,
  hooks: HookCaller,
): Tenants<TenantRecord> {
  const { given, before, after } = hooks
  const own = operationHooks(source, hooks)
  // Without any the factory may be set up more than once.
  if (own !== undefined) lifecycle.attachHooks(own)
  return {
    create: (tenantId, options = {}) =>
      lifecycle.provision(tenantId, {
        ...options,
        hooks: true,
        before: () => {
          const { metadata = {}, placement } = options
          // Its form was checked before anything is to be done.
          const id = tenantId as TenantId
          return before('beforeCreate', id, () => given.beforeCreate?.(id, { metadata, placement }))
        },
      }),
    get: lifecycle.get,
    list: lifecycle.list,
    async update(tenantId, metadata) {
      const id = tenantId as TenantId
      const record = await lifecycle.update(tenantId, metadata, {
        before: () => before('beforeUpdate', id, () => given.beforeUpdate?.(id, { metadata })),
      })
      await after('afterUpdate', id, () => given.afterUpdate?.(id, { metadata }))
      return record
    },
    delete: (tenantId, options = {}) =>
      lifecycle.deprovision(tenantId, {
        ...options,
        hooks: true,
        before: () => {
          const { retention } = options
          const id = tenantId as TenantId
          return before('beforeDelete', id, () => given.beforeDelete?.(id, { retention }))
        },
      }),
    undelete: lifecycle.undelete,
    purge: lifecycle.purge,
    suspend: lifecycle.suspend,
    resume: lifecycle.resume,
    retry: lifecycle.retry,
    operations: lifecycle.operations,
    operation: lifecycle.operation,
  }
}

/** What runs as steps of operations, or `undefined` when there is nothing of it. */
function operationHooks(
  source: Partial<DatabaseIsolation>,
  { given, onHookError }: HookCaller,
): OperationHooks | undefined {
  const { afterCreate, afterDelete } = given
  const coded = (name: 'onProvision' | 'onDeprovision') => {
    const hook = source[name]
    if (hook === undefined) return {}
    return {
      async [name](tenantId: TenantId, progress: Progress) {
        try {
          await hook(tenantId, progress)
        } catch (cause) {
          // An error of the app's own code is not the provider's to name.
          throw hookError(cause, tenantId, name)
        }
      },
    }
  }
  const own: OperationHooks = {
    ...coded('onProvision'),
    ...coded('onDeprovision'),
    ...(afterCreate && { afterCreate }),
    ...(afterDelete && { afterDelete }),
  }
  return Object.keys(own).length === 0 ? undefined : { ...own, onHookError }
}
