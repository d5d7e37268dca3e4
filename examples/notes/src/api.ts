import type { TenancyEnv } from '@tenantry/multi-tenancy'
import { type Context, Hono } from 'hono'
import type { NotesAdapters } from './database.ts'
import { parseMember, parseNote, problem } from './input.ts'
import { addMember, addNote, deleteNote, findNote, listAudit, listMembers, listNotes } from './store.ts'

/** The environment of a tenant's routes; `jwtPayload` is there where the app authenticates. */
export type NotesEnv = TenancyEnv<NotesAdapters> & { Variables: { jwtPayload?: { sub?: string } } }

/** The JSON API of one tenant. `c.env.data.db` is that tenant's database, put there by the middleware. */
export const api: Hono<NotesEnv> = new Hono<NotesEnv>()

api.get('/notes', async (c) => c.json({ notes: await listNotes(c.env.data.db) }))

api.post('/notes', async (c) => {
  const note = await addNote(c.env.data, readActor(c), parseNote(await jsonBody(c)))
  return c.json(note, 201)
})

api.get('/notes/:id', async (c) => {
  const note = await findNote(c.env.data.db, c.req.param('id'))
  if (note === undefined) throw problem(404, 'There is no such note')
  return c.json(note)
})

api.delete('/notes/:id', async (c) => {
  const deleted = await deleteNote(c.env.data, readActor(c), c.req.param('id'))
  if (!deleted) throw problem(404, 'There is no such note')
  return c.body(null, 204)
})

api.get('/members', async (c) => c.json({ members: await listMembers(c.env.data.db) }))

api.post('/members', async (c) => {
  const member = await addMember(c.env.data, readActor(c), parseMember(await jsonBody(c)))
  if (member === undefined) throw problem(409, 'email: is a member already')
  return c.json(member, 201)
})

api.get('/audit', async (c) => c.json({ audit: await listAudit(c.env.data.db) }))

/** Who the audit log says it was: the verified token's subject. */
export function readActor(c: Context<NotesEnv>): string {
  return c.get('jwtPayload')?.sub ?? 'Visitor'
}

async function jsonBody(c: Context): Promise<unknown> {
  // A form of another site can post text, but not this type.
  if (!/^application\/json\b/i.test(c.req.header('content-type') ?? ''))
    throw problem(415, 'Send application/json')
  return await c.req.json().catch(() => {
    throw problem(400, 'The body is not valid JSON')
  })
}
