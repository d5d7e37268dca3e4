import type { Statement } from '@tenantry/multi-tenancy'
import { LimitError } from './errors.ts'

/** Bytes of one statement's text, and values bound to it: https://developers.cloudflare.com/d1/platform/limits/ */
const MAX_SQL = 100_000
const MAX_PARAMS = 100

/** @throws LimitError for the first statement D1 would refuse, before anything of the batch is sent */
export function checkLimits(statements: readonly Statement[]): void {
  for (const [index, { sql, params = [] }] of statements.entries()) {
    // A character has at most three bytes.
    if (sql.length > MAX_SQL / 3 && new TextEncoder().encode(sql).length > MAX_SQL) {
      throw new LimitError(index, `Statement ${index + 1} is longer than the 100,000 bytes D1 takes`)
    }
    if (params.length > MAX_PARAMS) {
      throw new LimitError(index, `Statement ${index + 1} binds ${params.length} values; D1 takes 100`)
    }
  }
}

/** What of Cloudflare's limits does not fit so many tenants, in sentences. */
export function limitsOf(tenants: number, kinds: readonly string[]): string[] {
  const sentences: string[] = []
  if (tenants > 10) {
    sentences.push('The Free plan has 10 databases for an account; so many tenants need the Paid plan.')
  }
  if (tenants > 50_000) {
    sentences.push('An account has 50,000 databases, 1,000,000 where Cloudflare has raised it: ask before.')
  }
  if (kinds.includes('binding') && tenants > 5_000) {
    sentences.push('A Worker holds about 5,000 D1 bindings; add a dispatch namespace for the other tenants.')
  }
  if (kinds[0] === 'rest') {
    sentences.push(
      'REST comes first in `access`: all tenants share 1,200 requests in 5 minutes, so it serves no production traffic.',
    )
  } else if (kinds.includes('rest')) {
    sentences.push(
      'A tenant that no earlier `access` leads to is served over REST, 1,200 requests in 5 minutes for all.',
    )
  }
  return sentences
}
