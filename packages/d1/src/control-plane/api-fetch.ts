import {
  createHttpClient,
  type Fetch,
  type HttpClientOptions,
  HttpError,
  parseJsonObject,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'

export const CLOUDFLARE_API = "Cloudflare's API"

/** D1 has no limit on the rows of one response; a Worker has 128 MB of memory. */
const MAX_BODY_BYTES = 128 * 2 ** 20
/** SQLite's messages quote the statement, and apps read them whole. */
const MAX_DETAIL = 10_000

/**
 * A `fetch` for the SDK that rejects unless Cloudflare reports success: the SDK accepts `success: false` with status
 * 200, and would return null or an empty page.
 */
export function createApiFetch(options: Omit<HttpClientOptions, 'service'>): Fetch {
  const http = createHttpClient({
    ...options,
    service: CLOUDFLARE_API,
    maxBodyBytes: MAX_BODY_BYTES,
    maxDetail: MAX_DETAIL,
  })
  return async (input, init = {}) => {
    const response = await http.send(input, init)
    const text = await http.readText(response, init.signal)
    const { success, errors } = parseJsonObject(text) ?? {}
    if (response.ok && success === true) {
      return new Response(text, { headers: { 'content-type': 'application/json' } })
    }
    const problems: { code?: unknown; message?: unknown }[] = Array.isArray(errors) ? errors : []
    const codes = problems.flatMap(({ code }) => (typeof code === 'number' ? [code] : []))
    if (response.ok && codes.length === 0) throw http.undocumented()
    throw http.toError(response, { codes, detail: problems.map(({ message }) => message).join('; ') })
  }
}

/** The error that the SDK's `fetch` threw, which the SDK wraps; or the reason why the SDK stopped waiting. */
export function unwrapSdkError(error: unknown, signal: AbortSignal): unknown {
  for (
    let current = error, depth = 0;
    current instanceof Error && depth < 5;
    current = current.cause, depth++
  ) {
    if (current instanceof TenancyError || current instanceof HttpError) return current
  }
  const isTimeout = signal.reason?.name === 'TimeoutError' || /timed out/.test((error as Error)?.message)
  if (isTimeout) return new TenancyError('timeout', `${CLOUDFLARE_API} did not respond in time`)
  if (signal.aborted) return signal.reason
  return new HttpError(CLOUDFLARE_API, 0, `${CLOUDFLARE_API} cannot be reached`, { cause: error })
}
