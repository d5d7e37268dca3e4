import type { Compilable, InsertQueryBuilder, InsertResult, Kysely } from 'kysely'
import type { AuditEntry, Member, Note, NotesAdapters, NotesDatabase } from './database.ts'

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

export async function addNote(
  data: NotesAdapters,
  actor: string,
  input: Pick<Note, 'title' | 'body'>,
): Promise<Note> {
  const note = { id: crypto.randomUUID(), ...input, created: new Date().toISOString() }
  const { db } = data
  await write(data, [db.insertInto('notes').values(note), audit(db, actor, 'added note', note.title)])
  return note
}

/** Whether there was such a note. */
export async function deleteNote(data: NotesAdapters, actor: string, id: string): Promise<boolean> {
  const { db, together } = data
  const note = await findNote(db, id)
  if (note === undefined) return false
  const remove = db.deleteFrom('notes').where('id', '=', id)
  // Another request may have deleted it since it was read: then nothing is recorded.
  if (together !== undefined) {
    const entry = audit(db, actor, 'deleted note', note.title, id)
    const [, deleted = 0] = await together([entry.compile(), remove.compile()])
    return deleted > 0
  }
  return db.transaction().execute(async (transaction) => {
    const { numDeletedRows } = await transaction.deleteFrom('notes').where('id', '=', id).executeTakeFirst()
    if (numDeletedRows === 0n) return false
    await audit(transaction, actor, 'deleted note', note.title).execute()
    return true
  })
}

export function listMembers(db: Db): Promise<Member[]> {
  return db.selectFrom('members').selectAll().orderBy('name').limit(100).execute()
}

/** `undefined` when the address is a member already. */
export async function addMember(
  data: NotesAdapters,
  actor: string,
  input: Omit<Member, 'id'>,
): Promise<Member | undefined> {
  const { db, together } = data
  const member = { id: crypto.randomUUID(), ...input }
  const writes = (on: Db): Compilable[] => [
    on.insertInto('members').values(member),
    audit(on, actor, 'added member', member.name),
  ]
  // The table itself refuses the second of two concurrent inserts.
  if (together !== undefined) {
    if (await isMember(db, input.email)) return undefined
    await write(data, writes(db))
    return member
  }
  return db.transaction().execute(async (transaction) => {
    if (await isMember(transaction, input.email)) return undefined
    for (const each of writes(transaction)) await transaction.executeQuery(each.compile())
    return member
  })
}

async function isMember(db: Db, email: string): Promise<boolean> {
  return (
    (await db.selectFrom('members').select('id').where('email', '=', email).executeTakeFirst()) !== undefined
  )
}

export function listAudit(db: Db, limit = 100): Promise<AuditEntry[]> {
  return db.selectFrom('audit_log').selectAll().orderBy('at', 'desc').limit(limit).execute()
}

/** Together or not at all. */
export async function write({ db, together }: NotesAdapters, writes: readonly Compilable[]): Promise<void> {
  const queries = writes.map((each) => each.compile())
  if (together !== undefined) return void (await together(queries))
  await db.transaction().execute(async (transaction) => {
    for (const query of queries) await transaction.executeQuery(query)
  })
}

/** The entry about a change; with `note`, only if that note is still there. */
function audit(
  db: Db,
  actor: string,
  action: string,
  subject: string,
  note?: string,
): InsertQueryBuilder<NotesDatabase, 'audit_log', InsertResult> {
  const entry = { id: crypto.randomUUID(), actor, action, subject, at: new Date().toISOString() }
  const insert = db.insertInto('audit_log')
  if (note === undefined) return insert.values(entry)
  return insert.columns(['id', 'actor', 'action', 'subject', 'at']).expression((eb) =>
    eb
      .selectFrom('notes')
      .where('notes.id', '=', note)
      .select([
        eb.val(entry.id).as('id'),
        eb.val(actor).as('actor'),
        eb.val(action).as('action'),
        eb.val(subject).as('subject'),
        eb.val(entry.at).as('at'),
      ]),
  )
}
