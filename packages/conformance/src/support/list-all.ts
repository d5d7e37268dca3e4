import { ok } from 'node:assert/strict'
import type { ListedDatabase, TenantProvider } from '@tenantry/multi-tenancy'
import type { ConformanceContext } from '../context.ts'

/** All that `list` shows of a prefix, page after page. */
export async function everyPage(
  provider: TenantProvider<any>,
  prefix: string,
  { call }: Pick<ConformanceContext, 'call'>,
): Promise<ListedDatabase[]> {
  const all: ListedDatabase[] = []
  let cursor: string | undefined
  for (let page = 0; page === 0 || cursor !== undefined; page++) {
    ok(page < 1_000, 'list has no last page')
    const answer = await provider.list({ prefix, ...(cursor === undefined ? {} : { cursor }) }, call)
    all.push(...answer.databases)
    cursor = answer.cursor
  }
  return all
}
