import type { Kysely } from 'kysely'
import type { AuditEntry, Member, Note, NotesDatabase } from './database.ts'

// Plain Kysely queries. `db` is already one tenant's own, so none of them says which tenant it means.
type Db = Kysely<NotesDatabase>

export async function workspaceName(db: Db): Promise<string | undefined> {
  return (await db.selectFrom('workspace').select('name').executeTakeFirst())?.name
}

export function listNotes(db: Db): Promise<Note[]> {
  return db.selectFrom('notes').selectAll().orderBy('created', 'desc').limit(100).execute()
}

export function findNote(db: Db, id: string): Promise<Note | undefined> {
  return db.selectFrom('notes').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function addNote(db: Db, actor: string, input: Pick<Note, 'title' | 'body'>): Promise<Note> {
  const note = { id: crypto.randomUUID(), ...input, created: new Date().toISOString() }
  await db.transaction().execute(async (transaction) => {
    await transaction.insertInto('notes').values(note).execute()
    await record(transaction, actor, 'added note', note.title)
  })
  return note
}

/** Whether there was such a note. */
export function deleteNote(db: Db, actor: string, id: string): Promise<boolean> {
  return db.transaction().execute(async (transaction) => {
    const note = await findNote(transaction, id)
    if (note === undefined) return false
    const { numDeletedRows } = await transaction.deleteFrom('notes').where('id', '=', id).executeTakeFirst()
    // Somebody else may have deleted it since it was read.
    if (numDeletedRows === 0n) return false
    await record(transaction, actor, 'deleted note', note.title)
    return true
  })
}

export function listMembers(db: Db): Promise<Member[]> {
  return db.selectFrom('members').selectAll().orderBy('name').limit(100).execute()
}

/** `undefined` when the address is a member already. */
export function addMember(db: Db, actor: string, input: Omit<Member, 'id'>): Promise<Member | undefined> {
  return db.transaction().execute(async (transaction) => {
    const { email } = input
    const taken = await transaction
      .selectFrom('members')
      .select('id')
      .where('email', '=', email)
      .executeTakeFirst()
    if (taken !== undefined) return undefined
    const member = { id: crypto.randomUUID(), ...input }
    await transaction.insertInto('members').values(member).execute()
    await record(transaction, actor, 'added member', member.name)
    return member
  })
}

export function listAudit(db: Db, limit = 100): Promise<AuditEntry[]> {
  return db.selectFrom('audit_log').selectAll().orderBy('at', 'desc').limit(limit).execute()
}

async function record(db: Db, actor: string, action: string, subject: string): Promise<void> {
  const entry = { id: crypto.randomUUID(), actor, action, subject, at: new Date().toISOString() }
  await db.insertInto('audit_log').values(entry).execute()
}
