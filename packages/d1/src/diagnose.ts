import type { D1Access } from './types.ts'

/**
 * The limits of Cloudflare that a fleet of this size exceeds, and access methods unfit for production, in sentences.
 *
 * @see https://developers.cloudflare.com/d1/platform/limits/
 */
export function describeLimits(tenants: number, kinds: readonly D1Access['kind'][]): string[] {
  const sentences: string[] = []
  if (tenants > 10) {
    sentences.push(`The Free plan has 10 databases per account; ${tenants} tenants need the Paid plan.`)
  }
  if (tenants > 50_000) {
    sentences.push('An account has 50,000 databases (1,000,000 on request): ask Cloudflare for more first.')
  }
  if (kinds.includes('binding') && tenants > 5_000) {
    sentences.push('A Worker holds about 5,000 D1 bindings; add a dispatch namespace for the other tenants.')
  }
  if (kinds[0] === 'rest') {
    sentences.push(
      '`rest` is first in `access`: all tenants share 1,200 requests in 5 minutes, too few for production.',
    )
  } else if (kinds.includes('rest')) {
    sentences.push(
      'Tenants that no earlier access method reaches are served over REST: they share 1,200 requests in 5 minutes.',
    )
  }
  return sentences
}
