import type { Context } from 'hono'
import { configError } from '../../errors.ts'
import { checkOptions } from '../../util/options.ts'
import type { TenantResolver } from './resolver.ts'

export interface PathOptions {
  /** What stands before the tenant id: `/t` for `/t/acme/notes`, `/` for `/acme/notes`. */
  readonly prefix: string
}

/** The path of a request as it was sent: percent-encoding is left alone. */
export function rawPath(c: Context): string {
  const { url } = c.req.raw
  const start = url.indexOf('/', url.indexOf('://') + 3)
  return start === -1 ? '/' : (/^[^?#]*/.exec(url.slice(start))?.[0] ?? '/')
}

/**
 * The path segment after `prefix`. A path elsewhere, or one that ends there, names nothing. Hono's router
 * decodes percent-encoding and this does not, so `/t/%61cme` does not name `acme`. For `/t/acme/`, with the slash,
 * to reach the route `/t/:tenant`, create the app with `new Hono({ strict: false })`.
 *
 * @throws `config_invalid` while constructing
 *
 * @example
 * ```ts
 * app.use('/t/:tenant/*', createMultiTenancyMiddleware({ databaseIsolation, resolvers: [fromPath({ prefix: '/t' })] }))
 * ```
 */
export function fromPath(options: PathOptions): TenantResolver {
  checkOptions(options, 'fromPath', ['prefix'])
  const { prefix } = options
  if (typeof prefix !== 'string' || !/^(?:\/|(?:\/[\w.~-]+)+)$/.test(prefix)) {
    throw configError('fromPath.prefix', 'must be a plain path without a slash at its end, such as /t')
  }
  const start = prefix === '/' ? prefix : `${prefix}/`
  return (c) => {
    const path = rawPath(c)
    if (!path.startsWith(start)) return undefined
    const end = path.indexOf('/', start.length)
    return path.slice(start.length, end === -1 ? undefined : end) || undefined
  }
}
