import type { Context } from 'hono'
import { TenancyError } from '../errors.ts'

/** The bytes of a request body that are read at most, where nothing but an id is expected. */
export const MAX_BODY_BYTES = 1024

/**
 * The JSON body of a request.
 *
 * @throws `invalid_request` for another content type, more than `MAX_BODY_BYTES`, or text that is not JSON in UTF-8
 */
export async function readJson(c: Context): Promise<unknown> {
  checkType(c.req.raw.headers, /^application\/json[ \t]*(?:;|$)/i)
  return parseJson(await readText(c.req.raw.body, MAX_BODY_BYTES))
}

/** @throws `invalid_request` for another content type */
export function checkType(headers: Headers, type: RegExp): void {
  if (!type.test(headers.get('content-type') ?? '')) throw invalid('The body must be application/json')
}

/** @throws `invalid_request`, also for what would not come out as it went in: `__proto__`, a number beyond all */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text, (name, value) => {
      if (name === '__proto__' || value === Infinity || value === -Infinity) throw new SyntaxError(name)
      return value
    })
  } catch {
    throw invalid('The body is not JSON')
  }
}

/**
 * The one member `name` of a JSON object that has no other.
 *
 * @throws `invalid_request`
 */
export function onlyMember(body: unknown, name: string): unknown {
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body)
  if (isObject && Object.keys(body).join() === name) return (body as Record<string, unknown>)[name]
  throw invalid(`The body must be an object with ${JSON.stringify(name)} and nothing else`)
}

/** @throws `invalid_request` for more than `max` bytes, which are not read, and for bytes that are not UTF-8 */
export async function readText(body: ReadableStream<Uint8Array> | null, max: number): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let size = 0
  try {
    for await (const chunk of body ?? []) {
      size += chunk.byteLength
      if (size > max) break
      text += decoder.decode(chunk, { stream: true })
    }
    if (size <= max) return text + decoder.decode()
  } catch {
    throw invalid('The body cannot be read as UTF-8')
  }
  throw invalid(`The body is longer than ${max} bytes`)
}

function invalid(message: string): TenancyError {
  return new TenancyError('invalid_request', message)
}
