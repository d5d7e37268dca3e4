import { type Context, Hono } from 'hono'
import { resolveTenant } from '../../src/request/resolve.ts'
import type { TenantResolver } from '../../src/request/resolvers/resolver.ts'

/** What one request resolves to: a tenant id, or the code of the error. */
export async function ask(
  resolvers: TenantResolver | readonly TenantResolver[],
  url: string,
  headers: Record<string, string> = {},
  options: { payload?: unknown; controlPlaneTenantId?: string; env?: unknown } = {},
): Promise<string> {
  return answer(
    async (c) => {
      if ('payload' in options) c.set('jwtPayload', options.payload)
      return resolveTenant(c, typeof resolvers === 'function' ? [resolvers] : resolvers, options)
    },
    url,
    headers,
  )
}

/** What `read` answers about one request, or the code of its error. */
export async function answer(
  read: (c: Context<any>) => unknown,
  url: string,
  headers: Record<string, string> = {},
): Promise<string> {
  const app = new Hono()
  app.all('*', async (c) => c.text(String(await read(c))))
  const response = await app.request(url, { headers })
  const text = await response.text()
  return response.ok ? text : JSON.parse(text).code
}
