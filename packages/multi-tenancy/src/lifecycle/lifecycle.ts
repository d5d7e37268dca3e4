import type { OperationStore } from '../catalog/operations.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { notFound, TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import { requirePositive } from '../factory/options.ts'
import type { TenantId } from '../tenant-id.ts'
import type { Lifecycle, OperationHooks, OperationOptions } from '../types/lifecycle.ts'
import type { OperationKind, TenantMetadata, TenantRecord } from '../types/record.ts'
import { adoptTenant } from './adopt.ts'
import { decodeCursor, encodeCursor, pageLimit } from './cursor.ts'
import { createNesting } from './hook-reentrancy.ts'
import { checkMetadata, mergeMetadata } from './metadata.ts'
import { conflict, type Decision, type Engine } from './operations.ts'
import { checkPlacement } from './placement.ts'
import type { Reconciler } from './reconcile.ts'

export interface LifecycleParts<Client, Adapters> {
  readonly core: FactoryContext<Client, Adapters>
  readonly tenants: TenantStore
  readonly operations: OperationStore
  readonly engine: Engine
  readonly reconciler: Reconciler
  /** Milliseconds. */
  readonly retention: number
  readonly hooks: { get(): OperationHooks | undefined; set(hooks: OperationHooks): void }
}

/** The public calls: which states each may begin in, and what it answers. */
export function createLifecycle<Client, Adapters>({
  core,
  tenants,
  operations,
  engine,
  reconciler,
  retention: defaultRetention,
  hooks,
}: LifecycleParts<Client, Adapters>): Lifecycle {
  const { environment, parse } = core
  const inHook = createNesting()

  /** The answer to a hook that calls for the very thing it is a step of: to wait for that would be for ever. */
  function nested(
    hook: 'onProvision' | 'onDeprovision',
    tenantId: string,
    { hooks: asOperation = false }: OperationOptions,
  ): Promise<{ record: TenantRecord | undefined }> | undefined {
    const id = parse(tenantId)
    if (asOperation || !inHook.has(hook, id)) return undefined
    return tenants.latest(id).then((record) => ({ record }))
  }

  async function act(
    tenantId: string,
    kind: OperationKind,
    decide: (record: TenantRecord | undefined, id: TenantId) => Decision,
    options: OperationOptions & { readonly alone?: boolean } = {},
  ) {
    const id = parse(tenantId)
    return engine.act(id, kind, (record) => decide(record, id), options)
  }

  async function expect(result: Promise<{ record: TenantRecord | undefined }>): Promise<TenantRecord> {
    const { record } = await result
    if (record === undefined) throw new TenancyError('internal', 'The record is gone')
    return record
  }

  const lifecycle: Lifecycle = {
    async provision(tenantId, options = {}) {
      const { metadata = {}, placement, exclusive = false } = options
      checkMetadata(metadata)
      checkPlacement(core.provider, placement)
      const inside = nested('onProvision', tenantId, options)
      if (inside !== undefined) return expect(inside)
      const params = { metadata, ...(placement !== undefined && { placement }) }
      const made = act(
        tenantId,
        'provision',
        (record, id) => {
          if (record === undefined) return { begin: { from: undefined, params } }
          const { state } = record
          if (record.superseded || state === 'deleted' || state === 'purged') {
            return { begin: { from: undefined, previous: record, params } }
          }
          if (state === 'provisioning' || isUnfinished(record)) {
            return { begin: { from: record, states: [state], change: { state: 'provisioning' }, params } }
          }
          if (exclusive) throw conflict('There is such a tenant already', id)
          if (state === 'active' || state === 'upgrading') return { done: record }
          throw conflict(`The tenant is ${state}`, id)
        },
        { ...options, alone: exclusive },
      )
      return expect(made)
    },
    async migrate(tenantId) {
      const newest = (await core.migrations?.load())?.at(-1)?.name
      const { operation } = await act(tenantId, 'migrate', (record, id) => {
        const current = living(record, id)
        if (current.state === 'suspended') {
          throw new TenancyError('tenant_suspended', 'The tenant is suspended: it is migrated when resumed', {
            tenantId: id,
          })
        }
        if (newest === undefined || (current.state === 'active' && current.schemaVersion === newest)) {
          return { done: current }
        }
        if (current.state !== 'active' && !(current.state === 'failed' && isReady(current))) {
          throw new TenancyError('tenant_not_ready', `The tenant is ${current.state}`, { tenantId: id })
        }
        const { state } = current
        return { begin: { from: current, states: [state], change: { state: 'upgrading' } } }
      })
      if (operation === undefined) return []
      const events = await operations.steps(operation.id)
      const detail = events.findLast(({ step }) => step === 'migrate')?.detail
      return applied(detail)
    },
    suspend: (tenantId, options) =>
      expect(
        act(
          tenantId,
          'suspend',
          (record, id) => {
            const current = living(record, id)
            const { state } = current
            if (state === 'suspended' && current.error === undefined) return { done: current }
            if (state === 'suspended' || state === 'active' || (state === 'failed' && isReady(current))) {
              return { begin: { from: current, states: [state], change: { state: 'suspended' } } }
            }
            throw conflict(`The tenant is ${state}`, id)
          },
          options,
        ),
      ),
    resume: (tenantId, options) =>
      expect(
        act(
          tenantId,
          'resume',
          (record, id) => {
            const current = living(record, id)
            const { state } = current
            if (state === 'active') return { done: current }
            if (state === 'suspended' || (state === 'failed' && isReady(current))) {
              return { begin: { from: current, states: [state] } }
            }
            throw conflict(`The tenant is ${state}`, id)
          },
          options,
        ),
      ),
    async deprovision(tenantId, options = {}) {
      const retention = requirePositive('retention', options.retention ?? defaultRetention)
      const inside = nested('onDeprovision', tenantId, options)
      if (inside !== undefined) return (await inside).record
      const { record } = await act(
        tenantId,
        'deprovision',
        (current) => {
          if (current === undefined || current.superseded) return { done: undefined }
          const { state } = current
          if (state === 'deleted' || state === 'purged') return { done: current }
          const deletedFrom = current.deletedFrom ?? (state === 'suspended' ? 'suspended' : 'active')
          const change = { state: 'deprovisioning', deleted_from: deletedFrom }
          return { begin: { from: current, states: [state], change, params: { retention } } }
        },
        options,
      )
      const due = record?.state === 'deleted' && (record.purgeAfter ?? Infinity) <= environment.now()
      if (!due) return record
      try {
        return await lifecycle.purge(tenantId, { wait: options.wait ?? true })
      } catch (error) {
        // A new incarnation has come between: `sweep` purges the old one.
        const now = await tenants.get(record)
        if (now?.superseded) return now
        throw error
      }
    },
    undelete: (tenantId, options) =>
      expect(
        act(
          tenantId,
          'undelete',
          (record, id) => {
            if (record === undefined || record.state === 'purged') throw notFound(id)
            if (record.state === 'active' || record.state === 'suspended') return { done: record }
            if (record.state !== 'deleted') throw conflict(`The tenant is ${record.state}`, id)
            if (record.superseded) throw conflict('A newer incarnation has taken its place', id)
            if (record.readyAt === undefined)
              throw conflict('It was never ready: purge it, and make it anew', id)
            return { begin: { from: record, states: ['deleted'] } }
          },
          options,
        ),
      ),
    purge: (tenantId, options = {}) =>
      expect(
        act(
          tenantId,
          'purge',
          (record, id) => {
            if (record === undefined) throw notFound(id)
            if (record.state === 'purged') return { done: record }
            if (record.state !== 'deleted') throw conflict('Only a deleted tenant is purged', id)
            const due = (record.purgeAfter ?? Infinity) <= environment.now()
            if (!due && options.uid !== record.uid) {
              throw conflict('Its retention has not ended: repeat its uid to purge it now', id)
            }
            return { begin: { from: record, states: ['deleted'] } }
          },
          options,
        ),
      ),
    async retry(tenantId, options = {}) {
      const id = parse(tenantId)
      const record = await tenants.latest(id)
      if (record === undefined || record.state === 'purged') throw notFound(id)
      const failed = record.error && (await operations.get(record.error.operation))
      if (record.operation !== undefined || failed === undefined) return record
      const { kind, params } = failed
      const again = { ...options, hooks: params.hooks ?? options.hooks ?? false }
      if (kind === 'migrate') await lifecycle.migrate(id)
      else if (kind === 'purge') await lifecycle.purge(id, { ...again, uid: record.uid })
      else if (kind === 'deprovision')
        await lifecycle.deprovision(id, { ...again, retention: params.retention })
      else await lifecycle[kind](id, again)
      return (await tenants.latest(id)) ?? record
    },
    async update(tenantId, metadata, options = {}) {
      const id = parse(tenantId)
      checkMetadata(metadata)
      let { before } = options
      for (;;) {
        const record = living(await tenants.latest(id), id)
        const merged: TenantMetadata = mergeMetadata(record.metadata, metadata)
        await before?.()
        before = undefined
        const { revision } = record
        const { record: after, changed } = await tenants.update(
          record,
          { revision },
          { metadata: JSON.stringify(merged) },
        )
        if (changed) return after
      }
    },
    async get(tenantId) {
      const id = parse(tenantId)
      const record = await tenants.latest(id)
      if (record === undefined || record.state === 'purged') throw notFound(id)
      return record
    },
    async list({ cursor, limit, total = false, ...filter } = {}) {
      const size = pageLimit(limit)
      const after = cursor === undefined ? undefined : decodeCursor('tenants', cursor)
      const found = await tenants.list(filter, after, size + 1)
      const page = found.slice(0, size)
      const end = found.length > size ? page.at(-1) : undefined
      return {
        tenants: page,
        ...(end && { cursor: encodeCursor(end.id) }),
        ...(total && { total: await tenants.count(filter) }),
      }
    },
    async operations(tenantId, { cursor, limit } = {}) {
      const id = parse(tenantId)
      const size = pageLimit(limit)
      const [time, last] = cursor === undefined ? [] : decodeCursor('operations', cursor).split(' ')
      const after = last === undefined ? undefined : { createdAt: Number(time), id: last }
      const found = await operations.ofTenant(id, after, size + 1)
      if (found.length === 0 && (await tenants.latest(id)) === undefined) throw notFound(id)
      const page = found.slice(0, size)
      const end = found.length > size ? page.at(-1) : undefined
      return { operations: page, ...(end && { cursor: encodeCursor(`${end.createdAt} ${end.id}`) }) }
    },
    async operation(operationId) {
      const operation = await operations.get(operationId)
      if (operation === undefined) throw new TenancyError('tenant_not_found', 'No such operation')
      return { ...operation, steps: await operations.steps(operationId) }
    },
    async run(operationId, options = {}) {
      const operation = await operations.get(operationId)
      if (operation?.state === 'running') await engine.resume(operation, options)
    },
    async sweep({ limit = 50 } = {}) {
      const finished = []
      const now = environment.now()
      const found = new Map(
        (await operations.stuck(now, limit)).map((operation) => [operation.id, operation]),
      )
      // An operation that was withdrawn and got its tenant after all has no lease to end.
      for (const { operation } of await tenants.held(now - DAY, limit)) {
        const held = operation === undefined ? undefined : await operations.get(operation)
        if (held?.state === 'withdrawn') found.set(held.id, held)
      }
      await operations.removeWithdrawn(now - DAY)
      for (const operation of found.values()) {
        // One that cannot be finished must not keep the others waiting.
        const outcome = await engine
          .resume(operation)
          .catch((cause: unknown) => ({ error: TenancyError.from(cause) }))
        if (outcome === 'lost') continue
        const { id, kind, tenantId } = operation
        finished.push({ id, kind, tenantId, ...(outcome.error && { error: outcome.error }) })
      }
      return { finished, purged: await reconciler.purgeDue(limit) }
    },
    reconcile: (options) => reconciler.reconcile(options),
    async adopt(tenantId) {
      const id = parse(tenantId)
      const record = await adoptTenant(core, tenants, id)
      core.forget(id)
      return record
    },
    attachHooks(given) {
      hooks.set(inHook.track(given))
    },
  }
  return lifecycle
}

const DAY = 86_400_000

/** A tenant that has not been deleted. */
function living(record: TenantRecord | undefined, id: TenantId): TenantRecord {
  const gone = ['deprovisioning', 'deleted', 'purged'] as const
  if (record === undefined || record.superseded || gone.some((state) => state === record.state)) {
    throw notFound(id)
  }
  return record
}

/** Provisioned to its end once, and not half deleted. */
function isReady({ readyAt, deletedFrom }: TenantRecord): boolean {
  return readyAt !== undefined && deletedFrom === undefined
}

/** A provision that failed and may go on. */
function isUnfinished({ state, readyAt, deletedFrom }: TenantRecord): boolean {
  return state === 'failed' && readyAt === undefined && deletedFrom === undefined
}

function applied(detail: string | undefined): readonly string[] {
  try {
    return JSON.parse(detail ?? '[]') as string[]
  } catch {
    // Too many to be written down whole.
    return []
  }
}
