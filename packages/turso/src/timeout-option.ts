import { configError } from '@tenantry/multi-tenancy'

/** What a timer of any runtime can wait, almost 25 days: for more it would not wait at all. */
const LONGEST = 2 ** 31 - 1

/**
 * An option's time as timers take it, whole and no longer than they can: `Infinity` is as long as there is.
 *
 * @throws `config_invalid` for what is no number, or less than `least`
 */
export function milliseconds(option: string, value: number, least: 0 | 1): number {
  if (typeof value !== 'number' || !(value >= least)) {
    throw configError(option, `must be a number of milliseconds, at least ${least}`)
  }
  return Math.min(Math.ceil(value), LONGEST)
}
