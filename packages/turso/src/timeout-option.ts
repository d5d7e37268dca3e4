import { configError } from '@tenantry/multi-tenancy/provider'

/** The longest time a timer waits in every runtime, almost 25 days. A longer one would fire immediately. */
const MAX_TIMEOUT = 2 ** 31 - 1

/**
 * An option's milliseconds as timers take them: whole, and at most `MAX_TIMEOUT`, which `Infinity` becomes too.
 *
 * @throws `config_invalid` for a value that is not a number or is below `minimum`
 */
export function parseTimeout(option: string, value: number, minimum: 0 | 1): number {
  if (typeof value !== 'number' || !(value >= minimum)) {
    throw configError(option, `must be a number of milliseconds, at least ${minimum}`)
  }
  return Math.min(Math.ceil(value), MAX_TIMEOUT)
}
