import { inspect } from 'node:util'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, TenancyError, type TenancyErrorCode } from '../src/errors.ts'
import { createRedactor } from '../src/provider-kit/redactor.ts'

const codes = Object.keys(ERROR_CODES) as TenancyErrorCode[]

describe('TenancyError', () => {
  test.each(codes)('%s answers as a problem of its status', async (code) => {
    const response = new TenancyError(code, 'what happened').getResponse()
    expect(response.status).toBe(ERROR_CODES[code].status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    const body = (await response.json()) as Record<string, unknown>
    expect(body).toMatchObject({ type: 'about:blank', status: response.status, code })
    expect(response.headers.has('retry-after')).toBe(response.status === 503)
  })

  test('is printed with its code and its tenant, which its detail and its response do not repeat', async () => {
    const error = new TenancyError('conflict', 'another process is deleting it', { tenantId: 'acme' })
    expect(error.message).toBe('[conflict] tenant "acme": another process is deleting it')
    expect(String(error.stack)).toContain('[conflict] tenant "acme": another process is deleting it')
    expect(new TenancyError('conflict', 'no tenant').message).toBe('[conflict] no tenant')
    expect(error).toMatchObject({
      code: 'conflict',
      tenantId: 'acme',
      detail: 'another process is deleting it',
    })
    expect(await error.getResponse().json()).toMatchObject({ detail: 'another process is deleting it' })
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ detail: 'another process is deleting it' })
  })

  test("stays a 503 with Retry-After in an app's own handler of HTTPException", async () => {
    const app = new Hono()
    app.get('/', () => {
      throw new TenancyError('pool_exhausted', 'full', { retryAfter: 7 })
    })
    app.onError((error, c) =>
      error instanceof HTTPException ? error.getResponse() : c.text('Internal Server Error', 500),
    )
    const response = await app.request('/')
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '7'])
  })

  test('says when to come back, in whole seconds', () => {
    const retryAfter = (seconds: number) =>
      new TenancyError('rate_limited', 'slow down', { retryAfter: seconds })
        .getResponse()
        .headers.get('retry-after')
    expect(retryAfter(12.2)).toBe('13')
    expect(retryAfter(0)).toBe('1')
  })

  test('does not send the details of an internal fault to the client', async () => {
    const error = new TenancyError('internal', 'secret detail', {
      cause: new Error('secret cause'),
      tenantId: 'acme',
    })
    expect(await error.getResponse().text()).not.toContain('secret')
    expect(JSON.stringify(error)).not.toContain('cause')
  })

  test('wraps what has no code and keeps what has one', () => {
    const coded = new TenancyError('timeout', 'late')
    expect(TenancyError.from(coded)).toBe(coded)
    expect(TenancyError.from('text')).toMatchObject({ code: 'internal', cause: 'text' })
  })
})

describe('the redactor', () => {
  test('takes a secret out of messages, stacks, codes and nested causes, plain or URL-encoded', () => {
    const secret = 'canary/se+cret=42'
    const redactor = createRedactor()
    redactor.add(secret)
    const inner = Object.assign(new Error(`inner ${encodeURIComponent(secret)}`), {
      code: secret,
      client: { secret },
    })
    const error = new TenancyError('internal', 'outer', {
      cause: redactor.error(new Error(`no ${secret}`, { cause: inner })),
    })
    const shown = inspect(error, { depth: 10 })
    expect(shown).toContain('[redacted]')
    expect(shown).not.toContain('canary')
  })

  test('remembers the newest secrets up to a bound, and permanent secrets without a bound', () => {
    const redactor = createRedactor(10)
    redactor.keep('the platform/token')
    for (let index = 0; index < 100; index++) redactor.add(`secret-number-${index}!`)
    expect(redactor.text('secret-number-99!')).toBe('[redacted]')
    expect(redactor.text('secret-number-0!')).toBe('secret-number-0!')
    expect(redactor.text('the platform/token')).toBe('[redacted]')
    expect(redactor.text('?t=the%20platform%2Ftoken')).toBe('?t=[redacted]')
    redactor.keep('a')
    redactor.keep(undefined)
    expect(redactor.text('a text')).toBe('a text')
  })
})
