import { ok } from 'node:assert/strict'
import type { CallOptions, ListedDatabase, TenantProvider } from '@tenantry/multi-tenancy/provider'

/** Returns the entries of every page of `list` for a prefix. */
export async function listAll(
  provider: TenantProvider<any>,
  prefix: string,
  { call }: { readonly call: CallOptions },
): Promise<ListedDatabase[]> {
  const databases: ListedDatabase[] = []
  let cursor: string | undefined
  for (let page = 0; page === 0 || cursor !== undefined; page++) {
    ok(page < 1_000, 'list has more than 1,000 pages: its last page must have no cursor')
    const result = await provider.list({ prefix, ...(cursor === undefined ? {} : { cursor }) }, call)
    databases.push(...result.databases)
    cursor = result.cursor
  }
  return databases
}
