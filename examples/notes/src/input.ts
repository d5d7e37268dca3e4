import { HTTPException } from 'hono/http-exception'
import type { Member, Note } from './database.ts'

/** An error that Hono answers as problem+json (RFC 9457), as Tenantry's own are. */
export function problem(status: 400 | 404 | 409 | 415, detail: string): HTTPException {
  const titles = { 400: 'Bad Request', 404: 'Not Found', 409: 'Conflict', 415: 'Unsupported Media Type' }
  const body = JSON.stringify({ type: 'about:blank', title: titles[status], status, detail })
  const headers = { 'content-type': 'application/problem+json' }
  return new HTTPException(status, { message: detail, res: new Response(body, { status, headers }) })
}

/** @throws 400, naming the field */
export function parseNote(input: unknown): Pick<Note, 'title' | 'body'> {
  const fields = readFields(input)
  return { title: text(fields, 'title', 1, 200), body: text(fields, 'body', 0, 10_000) }
}

/** @throws 400, naming the field */
export function parseMember(input: unknown): Omit<Member, 'id'> {
  const fields = readFields(input)
  const { role = 'member' } = fields
  const email = text(fields, 'email', 3, 200).toLowerCase()
  if (!/^[^\s@]+@[^\s@]+$/.test(email))
    throw problem(400, 'email: must be an address, such as ada@example.com')
  if (role !== 'admin' && role !== 'member') throw problem(400, 'role: must be admin or member')
  return { name: text(fields, 'name', 1, 200), email, role }
}

function readFields(input: unknown): Record<string, unknown> {
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return { ...input }
  throw problem(400, 'The body must be a JSON object')
}

function text(fields: Record<string, unknown>, name: string, min: number, max: number): string {
  const { [name]: value = '' } = fields
  if (typeof value !== 'string') throw problem(400, `${name}: must be text`)
  const trimmed = value.trim()
  if (trimmed.length < min) throw problem(400, min === 1 ? `${name}: is missing` : `${name}: is too short`)
  if (trimmed.length > max) throw problem(400, `${name}: has more than ${max} characters`)
  // PostgreSQL keeps no NUL in text.
  if (trimmed.includes('\0')) throw problem(400, `${name}: has a NUL character`)
  return trimmed
}
