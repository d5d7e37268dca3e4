import { hookError } from '../database/hook-error.ts'
import { configError, type TenancyError } from '../errors.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Progress } from '../types/progress.ts'
import type { TenantMetadata } from '../types/record.ts'
import { checkFunctions, checkOptions } from '../util/options.ts'

/**
 * Called around a tenant's creation, update and deletion; the database's own `onProvision` and `onDeprovision` run
 * between them. A `before…` hook that throws stops the operation before it begins, with the hook's error. An `after…` hook
 * that throws changes nothing, because the operation has already succeeded: its error goes to `onHookError`.
 *
 * With a catalog, a `before…` hook is called only when an operation is about to begin. `afterCreate` and `afterDelete` are
 * recorded steps, which may run again in another process after a crash. Without a catalog, a repeated call runs every hook
 * again, and `progress.report` does nothing.
 */
export interface TenantHooks {
  beforeCreate?(tenantId: TenantId, request: CreateRequest): void | Promise<void>
  /** The tenant is served already. */
  afterCreate?(tenantId: TenantId, progress: Progress): void | Promise<void>
  /** Of the metadata; needs a catalog. */
  beforeUpdate?(tenantId: TenantId, request: UpdateRequest): void | Promise<void>
  /** Needs a catalog. */
  afterUpdate?(tenantId: TenantId, request: UpdateRequest): void | Promise<void>
  beforeDelete?(tenantId: TenantId, request: DeleteRequest): void | Promise<void>
  /** With a catalog the database is still there, until its retention ends. */
  afterDelete?(tenantId: TenantId, progress: Progress): void | Promise<void>
}

export interface CreateRequest {
  readonly metadata: TenantMetadata
  readonly placement: string | undefined
}

export interface UpdateRequest {
  /** The members to replace; `null` removes one. */
  readonly metadata: TenantMetadata
}

export interface DeleteRequest {
  /** Milliseconds the database is kept, where the caller says. */
  readonly retention: number | undefined
}

type HookName = keyof TenantHooks

const WITHOUT_CATALOG: readonly HookName[] = ['beforeCreate', 'afterCreate', 'beforeDelete', 'afterDelete']
const WITH_CATALOG: readonly HookName[] = [...WITHOUT_CATALOG, 'beforeUpdate', 'afterUpdate']

/** Calls checked hooks. */
export interface HookCaller {
  readonly given: TenantHooks
  readonly onHookError: (error: TenancyError) => void
  /** @throws what the hook throws, coded */
  before(name: HookName, tenantId: TenantId, call: () => void | Promise<void>): Promise<void>
  /** Passes the error of the hook to `onHookError`. */
  after(name: HookName, tenantId: TenantId, call: () => void | Promise<void>): Promise<void>
}

export interface HookCallerOptions {
  readonly onHookError: (error: TenancyError) => void
  readonly hasCatalog: boolean
}

/** @throws `config_invalid` for a hook that is not a function, or that would never be called */
export function checkedHooks(
  given: TenantHooks = {},
  { onHookError, hasCatalog }: HookCallerOptions,
): HookCaller {
  checkOptions(given, 'hooks', WITH_CATALOG)
  checkFunctions(given, 'hooks', WITH_CATALOG)
  if (!hasCatalog) {
    for (const name of WITH_CATALOG) {
      if (given[name] !== undefined && !WITHOUT_CATALOG.includes(name))
        throw configError(`hooks.${name}`, 'needs a catalog')
    }
  }
  const before: HookCaller['before'] = async (name, tenantId, call) => {
    try {
      await call()
    } catch (cause) {
      throw hookError(cause, tenantId, name)
    }
  }
  return {
    given,
    onHookError,
    before,
    async after(name, tenantId, call) {
      try {
        await before(name, tenantId, call).catch(onHookError)
      } catch {
        // An error of the error handler must not fail the operation, which has already succeeded.
      }
    },
  }
}
