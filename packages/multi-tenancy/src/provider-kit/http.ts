import { configError, TenancyError } from '../errors.ts'
import type { ErrorClassification } from './error-map.ts'
import type { RateGate } from './rate-gate.ts'
import type { Redactor } from './redactor.ts'
import { parseRetryAfter } from './retry-after.ts'

/** The part of `fetch` that providers use. */
export type Fetch = (input: Request | URL | string, init?: RequestInit) => Promise<Response>

export interface HttpErrorOptions {
  /** The service's own text, without secrets. */
  readonly detail?: string
  /** The service's own codes, such as 7404 or `feature_not_available`. */
  readonly codes?: readonly (string | number)[]
  /** The resource that the request named. `detail` may quote it. */
  readonly subject?: string | undefined
  /** Seconds. */
  readonly retryAfter?: number | undefined
  readonly cause?: unknown
}

/** A request that a service rejected or did not answer. A provider's error map gives it a code; apps never see it. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  /** The service's name, as given to `createHttpClient`. */
  readonly service: string
  /** The HTTP status. 0 without a complete, documented response: the service may have carried out the request. */
  readonly status: number
  readonly detail: string
  readonly codes: readonly (string | number)[]
  readonly subject: string | undefined
  readonly retryAfter: number | undefined

  constructor(service: string, status: number, message: string, options: HttpErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.service = service
    this.status = status
    this.detail = options.detail ?? ''
    this.codes = options.codes ?? []
    this.subject = options.subject
    this.retryAfter = options.retryAfter
  }
}

/** Whether the service may have carried out the request although it failed. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof HttpError && (error.status === 0 || error.status === 408 || error.status >= 500)
}

/** The code of an HTTP status, and the message with the service's own text. */
export function classifyHttpError(error: HttpError): ErrorClassification {
  const { status, retryAfter, detail } = error
  const message = detail === '' ? error.message : `${error.message}: ${detail}`
  if (status === 429) return { code: 'rate_limited', message, retryAfter }
  if (status === 0 || status === 408 || status === 425 || status >= 500) {
    return { code: 'provider_unavailable', message, retryAfter }
  }
  if (status === 402) return { code: 'quota_exceeded', message }
  return { code: status === 401 || status === 403 ? 'credentials_rejected' : 'provider_rejected', message }
}

export interface HttpClientOptions {
  /** Begins the errors' messages, such as `The Turso Platform API`. */
  readonly service: string
  readonly fetch: Fetch
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly redactor: Redactor
  /** Holds requests back while the service wants fewer. */
  readonly rateGate?: RateGate
  /**
   * Bytes of a response that `readText` accepts.
   *
   * @default 16 MiB
   */
  readonly maxBodyBytes?: number
  /**
   * Characters of the service's own text that an error keeps.
   *
   * @default 300
   */
  readonly maxDetail?: number
}

/** Requests to one service, by its rules: no redirects, coded timeouts, bounded responses, errors without secrets. */
export interface HttpClient {
  /**
   * Sends one request and resolves with the response, errors of the service included.
   *
   * @throws HttpError for a redirect and without a response; `rate_limited` without sending anything; `timeout` where
   * the signal is one of `AbortSignal.timeout`, else the signal's reason
   */
  send(input: Request | URL | string, init: RequestInit): Promise<Response>
  /** The body as text. Throws as `send` does, and where it is longer than `maxBodyBytes`. */
  readText(response: Response, signal: AbortSignal | null | undefined): Promise<string>
  /** The error for a response that is not a success, with its `Retry-After`. `detail` may contain secrets. */
  toError(
    response: Pick<Response, 'status' | 'headers'>,
    options?: Omit<HttpErrorOptions, 'retryAfter'>,
  ): HttpError
  /** The error for a response that is not as the service documents it. */
  undocumented(): HttpError
}

const MAX_BODY_BYTES = 16 * 2 ** 20
const MAX_DETAIL = 300

/**
 * Requests to a service's API, for providers whose control plane is HTTP.
 *
 * @example
 * const http = createHttpClient({ service: 'The Cabinet API', fetch, now, redactor, rateGate: createRateGate(...) })
 * const response = await http.send(`${baseUrl}/databases/${name}`, { signal, headers })
 * const text = await http.readText(response, signal)
 * if (!response.ok) throw http.toError(response, { detail: text })
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const {
    service,
    fetch,
    now,
    redactor,
    rateGate,
    maxBodyBytes = MAX_BODY_BYTES,
    maxDetail = MAX_DETAIL,
  } = options

  function noResponse(message: string, cause: unknown): HttpError {
    const code = findNetworkCode(cause)
    const text = code === undefined ? message : `${message} (${code})`
    return new HttpError(service, 0, `${service} ${text}`, {
      ...(code === undefined ? {} : { codes: [code] }),
      cause: redactor.error(cause),
    })
  }

  /** The reason of an aborted signal; a timeout is reported as ours. */
  function abortReason({ reason }: AbortSignal): unknown {
    if ((reason as { name?: unknown } | undefined)?.name !== 'TimeoutError') return reason
    return new TenancyError('timeout', `${service} did not respond in time`)
  }

  return {
    async send(input, init) {
      const observe = rateGate?.enter()
      let response: Response
      try {
        // Credentials go to the host they are for and no further. Not `error`: workerd supports `manual` only.
        response = await fetch(input, { ...init, redirect: 'manual' })
      } catch (cause) {
        if (init.signal?.aborted) throw abortReason(init.signal)
        throw noResponse('cannot be reached', cause)
      }
      observe?.(response)
      const { status, type } = response
      if (type === 'opaqueredirect' || (status >= 300 && status < 400)) {
        await response.body?.cancel()
        throw new HttpError(service, status || 302, `${service} redirected the request, which is not allowed`)
      }
      return response
    },
    async readText(response, signal) {
      try {
        const text = await readAtMost(response, maxBodyBytes)
        if (text !== undefined) return text
      } catch (cause) {
        if (signal?.aborted) throw abortReason(signal)
        throw noResponse('closed the connection before its response was complete', cause)
      }
      throw new HttpError(service, 0, `${service} sent a response of more than ${maxBodyBytes} bytes`)
    },
    toError({ status, headers }, { detail = '', ...rest } = {}) {
      return new HttpError(service, status, `${service} responded with status ${status}`, {
        ...rest,
        // Redacted before it is cut: half a secret would not be recognized.
        detail: redactor.text(detail).slice(0, maxDetail),
        retryAfter: parseRetryAfter(headers, now()),
      })
    },
    undocumented() {
      return new HttpError(service, 0, `${service} sent a response that is not in its documented form`)
    },
  }
}

/** The body as text; `undefined` when it is longer than `limit` bytes. */
async function readAtMost({ body }: Response, limit: number): Promise<string | undefined> {
  if (body === null) return ''
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let size = 0; ; ) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    size += value.byteLength
    if (size > limit) {
      await reader.cancel()
      return undefined
    }
    text += decoder.decode(value, { stream: true })
  }
}

/** The code of a failed connection, such as `ECONNREFUSED`; runtimes keep it in a cause. */
function findNetworkCode(error: unknown): string | undefined {
  for (
    let current = error, depth = 0;
    current instanceof Error && depth < 5;
    current = current.cause, depth++
  ) {
    const { code } = current as { code?: unknown }
    if (typeof code === 'string' && /^[A-Za-z_]{3,50}$/.test(code)) return code
  }
  return undefined
}

/** The object that a JSON text holds; `undefined` for any other text or value. */
export function parseJsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/**
 * The URL of an API without its trailing slash: https, or http on this machine.
 *
 * @throws `config_invalid`, naming the option
 */
export function parseBaseUrl(option: string, value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined
  const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(url?.hostname ?? '')
  if (url?.protocol !== 'https:' && !(isLocal && url?.protocol === 'http:')) {
    throw configError(option, 'must be an https URL (http is allowed on localhost)')
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw configError(option, 'must not contain a user, password, query or fragment')
  }
  return url.origin + url.pathname.replace(/\/+$/, '')
}
