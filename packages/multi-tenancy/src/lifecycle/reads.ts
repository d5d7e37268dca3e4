import type { OperationStore } from '../catalog/operations.ts'
import type { TenantStore } from '../catalog/tenants.ts'
import { notFound, TenancyError } from '../errors.ts'
import type { FactoryContext } from '../factory/context.ts'
import type { Lifecycle } from '../types/lifecycle.ts'
import { decodeCursor, encodeCursor, pageLimit } from './cursor.ts'

/** The calls that change nothing. */
export function createLifecycleReads(
  { parse }: Pick<FactoryContext<unknown, unknown>, 'parse'>,
  tenants: TenantStore,
  operations: OperationStore,
): Pick<Lifecycle, 'get' | 'list' | 'operations' | 'operation'> {
  return {
    async get(tenantId) {
      const id = parse(tenantId)
      const record = await tenants.latest(id)
      if (record === undefined || record.state === 'purged') throw notFound(id)
      return record
    },
    async list({ cursor, limit, total = false, ...filter } = {}) {
      const size = pageLimit(limit)
      const after = cursor === undefined ? undefined : decodeCursor('tenants', cursor)
      const records = await tenants.list(filter, after, size + 1)
      const page = records.slice(0, size)
      const last = records.length > size ? page.at(-1) : undefined
      return {
        tenants: page,
        ...(last && { cursor: encodeCursor(last.id) }),
        ...(total && { total: await tenants.count(filter) }),
      }
    },
    async operations(tenantId, { cursor, limit } = {}) {
      const id = parse(tenantId)
      const size = pageLimit(limit)
      const [time, lastId] = cursor === undefined ? [] : decodeCursor('operations', cursor).split(' ')
      const after = lastId === undefined ? undefined : { createdAt: Number(time), id: lastId }
      const history = await operations.listOfTenant(id, after, size + 1)
      if (history.length === 0 && (await tenants.latest(id)) === undefined) throw notFound(id)
      const page = history.slice(0, size)
      const last = history.length > size ? page.at(-1) : undefined
      return { operations: page, ...(last && { cursor: encodeCursor(`${last.createdAt} ${last.id}`) }) }
    },
    async operation(operationId) {
      const operation = await operations.get(operationId)
      if (operation === undefined) throw new TenancyError('tenant_not_found', 'There is no such operation')
      return { ...operation, steps: await operations.steps(operationId) }
    },
  }
}
