import { TenancyError } from '../errors.ts'
import type { ListedDatabase } from '../types/provider.ts'

/** One page of one source. */
export interface SourcePage {
  readonly databases: readonly ListedDatabase[]
  /** Where the next page of this source begins; `undefined` on its last page. */
  readonly next?: string | undefined
}

/**
 * One page of a listing that goes through several sources (servers, groups) one after the other. The cursor is
 * `source/position`.
 *
 * @param list lists one page of a source, from its beginning where `position` is empty
 * @throws `invalid_request` for a cursor of another listing
 */
export async function listSources(
  sources: readonly string[],
  cursor: string | undefined,
  list: (source: string, position: string) => Promise<SourcePage>,
): Promise<{ databases: readonly ListedDatabase[]; cursor?: string }> {
  const [source = '', position = ''] = (cursor ?? `${sources[0]}/`).split(/\/(.*)/s)
  const index = sources.indexOf(source)
  if (index === -1) throw new TenancyError('invalid_request', 'The cursor does not belong to this listing')
  const { databases, next } = await list(source, position)
  if (next !== undefined) return { databases, cursor: `${source}/${next}` }
  const following = sources[index + 1]
  return following === undefined ? { databases } : { databases, cursor: `${following}/` }
}
