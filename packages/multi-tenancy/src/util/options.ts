import { configError } from '../errors.ts'

/** Refuses a misspelt option: one that is silently ignored may be the one that keeps tenants apart. */
export function checkOptions(value: unknown, at: string, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null) throw configError(at || 'config', 'must be an object')
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) throw configError(within(at, name), 'is not an option')
  }
}

/** Refuses an option that is there but no function. */
export function checkFunctions(value: object, at: string, names: readonly string[]): void {
  for (const name of names) {
    const option: unknown = (value as Record<string, unknown>)[name]
    if (option !== undefined && typeof option !== 'function')
      throw configError(within(at, name), 'must be a function')
  }
}

/** Refuses what can be the name of no header and no cookie (RFC 9110 and RFC 6265 share the grammar). */
export function checkName(name: unknown, at: string): void {
  if (typeof name !== 'string' || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
    throw configError(`${at}.name`, 'must be a token')
  }
}

function within(at: string, name: string): string {
  return at === '' ? name : `${at}.${name}`
}
