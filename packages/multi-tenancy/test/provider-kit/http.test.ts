import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import {
  classifyHttpError,
  createHttpClient,
  createRateGate,
  createRedactor,
  type HttpClientOptions,
  HttpError,
  isOutcomeUnknown,
  parseBaseUrl,
  parseJsonObject,
} from '../../src/provider.ts'

const SERVICE = 'The Cabinet API'
const SECRET = 'secret-token-of-the-test'

let server: Server | undefined
afterEach(async () => {
  server?.closeAllConnections()
  server?.close()
  server = undefined
})

/** The URL of a server on this machine that answers every request with `listener`. */
async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function client(options: Partial<HttpClientOptions> = {}) {
  const redactor = createRedactor()
  redactor.keep(SECRET)
  return createHttpClient({ service: SERVICE, fetch: globalThis.fetch, now: Date.now, redactor, ...options })
}

const signal = () => AbortSignal.timeout(30_000)

async function catchError(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.unreachable('The promise should reject'),
    (error: unknown) => error,
  )
}

describe('send', () => {
  it('resolves with the response, errors of the service included', async () => {
    const url = await serve((_, response) => response.writeHead(404).end('no such cabinet'))
    const http = client()
    const response = await http.send(url, { signal: signal() })
    expect(response.status).toBe(404)
    expect(await http.readText(response, signal())).toBe('no such cabinet')
  })

  it.each([301, 302, 303, 307, 308])('rejects a redirect (%i) and does not follow it', async (status) => {
    const paths: unknown[] = []
    const url = await serve((request, response) => {
      paths.push(request.url)
      response.writeHead(status, { location: '/elsewhere' }).end()
    })
    const error = await catchError(client().send(`${url}/start`, { signal: signal() }))
    expect(error).toBeInstanceOf(HttpError)
    expect(classifyHttpError(error as HttpError)).toEqual({
      code: 'provider_rejected',
      message: `${SERVICE} redirected the request, which is not allowed`,
    })
    expect(paths).toEqual(['/start'])
  })

  it('names the network code when the service refuses the connection', async () => {
    const url = await serve(() => {})
    server?.close()
    const error = await catchError(client().send(url, { signal: signal() }))
    expect(error).toMatchObject({ status: 0, codes: ['ECONNREFUSED'] })
    expect((error as HttpError).message).toBe(`${SERVICE} cannot be reached (ECONNREFUSED)`)
    expect(isOutcomeUnknown(error)).toBe(true)
  })

  it('reports an elapsed timeout as "timeout" and an aborted signal with its own reason', async () => {
    const url = await serve(() => {})
    const late = await catchError(client().send(url, { signal: AbortSignal.timeout(20) }))
    expect(late).toMatchObject({ code: 'timeout', detail: `${SERVICE} did not respond in time` })
    const reason = new Error('the caller left')
    expect(await catchError(client().send(url, { signal: AbortSignal.abort(reason) }))).toBe(reason)
  })

  it('removes secrets from the cause of a failed request', async () => {
    const fetch = async () => {
      throw new TypeError(`invalid header: Bearer ${SECRET}`, { cause: new Error(SECRET) })
    }
    const error = await catchError(client({ fetch }).send('https://cabinet.example', { signal: signal() }))
    expect(inspect(error, { depth: 10 })).not.toContain(SECRET)
  })

  it('sends nothing while the rate gate is closed', async () => {
    let requests = 0
    let now = 0
    const url = await serve((_, response) => {
      requests++
      response.writeHead(429, { 'retry-after': '40' }).end()
    })
    const rateGate = createRateGate(SERVICE, () => now)
    const http = client({ rateGate })
    expect((await http.send(url, { signal: signal() })).status).toBe(429)
    now = 10_000
    const error = await catchError(http.send(url, { signal: signal() }))
    expect(error).toMatchObject({ code: 'rate_limited', retryAfter: 30 })
    expect((error as TenancyError).detail).toBe(`${SERVICE} limits requests; none is sent for 30 s`)
    expect(requests).toBe(1)
  })
})

describe('readText', () => {
  it('decodes a character that is split over two chunks', async () => {
    const bytes = new TextEncoder().encode('Zürich')
    const url = await serve((_, response) => {
      response.write(bytes.subarray(0, 2))
      setImmediate(() => response.end(bytes.subarray(2)))
    })
    const http = client()
    expect(await http.readText(await http.send(url, { signal: signal() }), signal())).toBe('Zürich')
  })

  it('reads a response without a body as an empty text', async () => {
    expect(await client().readText(new Response(null, { status: 204 }), signal())).toBe('')
  })

  it.each([
    [8, '12345678'],
    [7, undefined],
  ])('accepts at most maxBodyBytes (%i of 8 bytes)', async (maxBodyBytes, expected) => {
    const http = client({ maxBodyBytes })
    const text = http.readText(new Response('12345678'), signal())
    if (expected === undefined) {
      const error = await catchError(text)
      expect(error).toMatchObject({ status: 0, message: `${SERVICE} sent a response of more than 7 bytes` })
    } else expect(await text).toBe(expected)
  })

  it('stops reading a response that never ends', async () => {
    const url = await serve((_, response) => {
      const write = () => response.write('x'.repeat(1_000), (error) => error ?? setImmediate(write))
      write()
    })
    const http = client({ maxBodyBytes: 10_000 })
    const response = await http.send(url, { signal: signal() })
    expect(await catchError(http.readText(response, signal()))).toMatchObject({ status: 0 })
  })

  it('reports a response that breaks off as an unknown outcome', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half', () => response.destroy())
    })
    const http = client()
    const response = await http.send(url, { signal: signal() })
    const error = await catchError(http.readText(response, signal()))
    expect(isOutcomeUnknown(error)).toBe(true)
    expect(classifyHttpError(error as HttpError).code).toBe('provider_unavailable')
  })

  it('reports a timeout while reading as "timeout"', async () => {
    const url = await serve((_, response) => response.write('half'))
    const http = client()
    const timeout = AbortSignal.timeout(50)
    const response = await http.send(url, { signal: timeout })
    expect(await catchError(http.readText(response, timeout))).toMatchObject({ code: 'timeout' })
  })
})

describe('toError', () => {
  it('keeps the status, the Retry-After and the texts and codes of the service', () => {
    const response = new Response('', { status: 503, headers: { 'retry-after': '7' } })
    const error = client().toError(response, { detail: 'maintenance', codes: [7500], subject: 'cabinet-1' })
    expect(error).toMatchObject({ service: SERVICE, status: 503, retryAfter: 7, codes: [7500] })
    expect(error.subject).toBe('cabinet-1')
    expect(classifyHttpError(error)).toEqual({
      code: 'provider_unavailable',
      message: `${SERVICE} responded with status 503: maintenance`,
      retryAfter: 7,
    })
  })

  it('removes secrets from the detail before cutting it', () => {
    const detail = `${'x'.repeat(290)}${SECRET}`
    const error = client().toError(new Response('', { status: 400 }), { detail })
    expect(error.detail).toHaveLength(300)
    expect(error.detail).not.toContain(SECRET.slice(0, 6))
  })

  it.each([
    [401, 'credentials_rejected'],
    [403, 'credentials_rejected'],
    [402, 'quota_exceeded'],
    [400, 'provider_rejected'],
    [404, 'provider_rejected'],
    [409, 'provider_rejected'],
    [408, 'provider_unavailable'],
    [425, 'provider_unavailable'],
    [429, 'rate_limited'],
    [500, 'provider_unavailable'],
    [599, 'provider_unavailable'],
  ] as const)('a response with status %i is classified as %s', (status, code) => {
    expect(classifyHttpError(client().toError(new Response('', { status }))).code).toBe(code)
  })
})

describe('isOutcomeUnknown', () => {
  it.each([
    [0, true],
    [408, true],
    [500, true],
    [503, true],
    [302, false],
    [400, false],
    [409, false],
    [429, false],
  ])('for status %i is %s', (status, expected) => {
    expect(isOutcomeUnknown(new HttpError(SERVICE, status, ''))).toBe(expected)
  })

  it('is true for a response in an undocumented form and false for other errors', () => {
    expect(isOutcomeUnknown(client().undocumented())).toBe(true)
    expect(isOutcomeUnknown(new TypeError('bug'))).toBe(false)
  })
})

describe('parseJsonObject', () => {
  it.each(['', '<html>', 'null', '7', '"text"', '{'])('returns undefined for %j', (text) => {
    expect(parseJsonObject(text)).toBeUndefined()
  })

  it('returns the object of a JSON text', () => {
    expect(parseJsonObject('{"error":"no"}')).toEqual({ error: 'no' })
  })
})

describe('parseBaseUrl', () => {
  it.each([
    ['https://api.example', 'https://api.example'],
    ['https://api.example/v4/', 'https://api.example/v4'],
    ['http://127.0.0.1:8080//', 'http://127.0.0.1:8080'],
    ['http://localhost/x', 'http://localhost/x'],
    ['http://[::1]:1', 'http://[::1]:1'],
  ])('accepts %s as %s', (value, expected) => {
    expect(parseBaseUrl('baseUrl', value)).toBe(expected)
  })

  it.each([
    'http://api.example',
    'http://localhost.evil.example',
    'ftp://127.0.0.1',
    'nonsense',
    '',
    undefined,
    'https://user@api.example',
    `https://:${SECRET}@api.example`,
    'https://api.example/?key=x',
    'https://api.example/#x',
  ])('rejects %s with config_invalid and does not repeat it', (value) => {
    const parse = () => parseBaseUrl('baseUrl', value as string)
    expect(parse).toThrow(TenancyError)
    expect(parse).toThrow(/baseUrl/)
    expect(parse).not.toThrow(new RegExp(SECRET))
  })
})
