import type { Context, MiddlewareHandler } from 'hono'
import { TenancyError } from '../errors.ts'
import { rawPath } from '../request/resolvers/path.ts'
import { checkType, parseJson, readText } from './body.ts'

/** Bytes of a request body that are read at most: 4 KB of metadata, however escaped and spaced. */
const MAX_BODY_BYTES = 32_768

const JSON_TYPES = /^application\/(?:merge-patch\+)?json[ \t]*(?:;|$)/i
const WITH_BODY = /^(?:POST|PATCH|PUT|DELETE)$/

/** Reads a body once, within bounds, and puts its JSON in place for the validators; no body counts as `null`. */
export const boundedBody: MiddlewareHandler = async (c, next) => {
  const { raw, method } = c.req
  if (WITH_BODY.test(method)) {
    const text = await readText(raw.body, MAX_BODY_BYTES)
    if (text !== '') checkType(raw.headers, JSON_TYPES)
    const body = text === '' ? 'null' : JSON.stringify(parseJson(text))
    const headers = new Headers(raw.headers)
    headers.delete('content-length')
    headers.set('content-type', 'application/json')
    c.req.raw = new Request(raw, { headers, body })
  }
  await next()
}

/** @throws `invalid_request` for a body that says something, where nothing is expected */
export async function expectNoBody(c: Context): Promise<void> {
  if (/^(?:null|\{\})$/.test(await c.req.text())) return
  throw new TenancyError('invalid_request', 'This takes no body')
}

/** @throws `invalid_request`: for a request that the schemas refuse */
export function refuseInvalid(result: { success: boolean; error?: { issues: readonly Issue[] } }): void {
  if (result.success) return
  const { path, message } = result.error?.issues[0] ?? { path: [], message: 'Invalid' }
  const at = path.map(String).join('.')
  throw new TenancyError('invalid_request', `${at === '' ? '' : `${at}: `}${message}`.slice(0, 300))
}

interface Issue {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** A segment of the path as it was sent, counted from its end; Hono's parameters have their encoding decoded. */
export function segment(c: Context, fromEnd: number): string {
  return rawPath(c).split('/').at(-fromEnd) ?? ''
}

/** The path of the mounted API, for links into it. */
export function mountPath(c: Context, ending: string): string {
  const path = rawPath(c)
  return path.endsWith(ending) ? path.slice(0, -ending.length) : path
}

/** Milliseconds of a checked duration. */
export function milliseconds(duration: string): number {
  const units: Readonly<Record<string, number>> = { W: 604_800, D: 86_400, H: 3_600, M: 60, S: 1 }
  let seconds = 0
  for (const [, count, unit = ''] of duration.matchAll(/(\d+)([WDHMS])/g)) {
    seconds += Number(count) * (units[unit] ?? 0)
  }
  return seconds * 1_000
}
