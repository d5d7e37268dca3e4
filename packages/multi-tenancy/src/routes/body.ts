import type { Context } from 'hono'
import { TenancyError } from '../errors.ts'

/** The bytes of a request body that are read at most. */
export const MAX_BODY_BYTES = 1024

/**
 * The JSON body of a request.
 *
 * @throws `invalid_request` for another content type, more than `MAX_BODY_BYTES`, or what is no JSON in UTF-8
 */
export async function readJson(c: Context): Promise<unknown> {
  const type = c.req.raw.headers.get('content-type') ?? ''
  if (!/^application\/json[ \t]*(?:;|$)/i.test(type)) throw invalid('The body must be application/json')
  const text = await readText(c.req.raw.body)
  try {
    return JSON.parse(text)
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

async function readText(body: ReadableStream<Uint8Array> | null): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let text = ''
  let size = 0
  try {
    for await (const chunk of body ?? []) {
      size += chunk.byteLength
      if (size > MAX_BODY_BYTES) break
      text += decoder.decode(chunk, { stream: true })
    }
    if (size <= MAX_BODY_BYTES) return text + decoder.decode()
  } catch {
    throw invalid('The body cannot be read as UTF-8')
  }
  throw invalid(`The body is longer than ${MAX_BODY_BYTES} bytes`)
}

function invalid(message: string): TenancyError {
  return new TenancyError('invalid_request', message)
}
