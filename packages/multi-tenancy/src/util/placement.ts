import { TenancyError } from '../errors.ts'

/** @throws `invalid_request` for a name that is none of the provider's */
export function checkPlacement(
  { placements = [] }: { readonly placements?: readonly string[] },
  placement: string | undefined,
): void {
  if (placement === undefined || placements.includes(placement)) return
  const known = placements.length === 0 ? 'there is one place only' : `expected ${placements.join(', ')}`
  throw new TenancyError('invalid_request', `placement: ${known}`)
}
