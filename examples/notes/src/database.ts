import type { CompiledQuery, Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What handlers get as `c.env.data`: the database of the request's tenant, and no other. */
export interface NotesAdapters {
  readonly db: Kysely<NotesDatabase>
  /**
   * Runs writes together or not at all, for a database that has no transactions with reads in between (D1). Resolves
   * with how many rows each changed.
   *
   * @default a transaction of `db`
   */
  readonly together?: (writes: readonly CompiledQuery[]) => Promise<number[]>
}

/** The tables of one tenant's database. No table has a tenant column: the database has one tenant. */
export interface NotesDatabase {
  /** One row: the tenant itself. */
  workspace: { id: string; name: string }
  notes: Note
  members: Member
  audit_log: AuditEntry
}

export interface Note {
  id: string
  title: string
  body: string
  created: string
}

export interface Member {
  id: string
  name: string
  email: string
  role: 'admin' | 'member'
}

/** The actor, the action, its object and its time. Written in one transaction with the change itself. */
export interface AuditEntry {
  id: string
  actor: string
  action: string
  subject: string
  at: string
}

const notesAndMembers: Migration = {
  async up(db) {
    await db.schema
      .createTable('workspace')
      .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
      .addColumn('name', 'varchar(200)', (column) => column.notNull())
      .execute()
    await db.schema
      .createTable('notes')
      .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
      .addColumn('title', 'varchar(200)', (column) => column.notNull())
      .addColumn('body', 'text', (column) => column.notNull())
      .addColumn('created', 'varchar(30)', (column) => column.notNull())
      .execute()
    await db.schema
      .createTable('members')
      .addColumn('id', 'varchar(36)', (column) => column.primaryKey())
      .addColumn('name', 'varchar(200)', (column) => column.notNull())
      .addColumn('email', 'varchar(200)', (column) => column.notNull().unique())
      .addColumn('role', 'varchar(10)', (column) => column.notNull())
      .execute()
  },
}

const notesByTime: Migration = {
  async up(db) {
    await db.schema.createIndex('notes_created').on('notes').column('created').execute()
  },
}

/** Run by `provision` for a new tenant and by `migrate` for an old one. A string is plain SQL, as in a `.sql` file. */
export const migrations: Record<string, Migration | string> = {
  '0001_notes_and_members': notesAndMembers,
  '0002_audit_log': `
    CREATE TABLE audit_log (
      id varchar(36) PRIMARY KEY,
      actor varchar(200) NOT NULL,
      action varchar(40) NOT NULL,
      subject varchar(200) NOT NULL,
      at varchar(30) NOT NULL
    );
    CREATE INDEX audit_log_at ON audit_log (at);
  `,
  '0003_notes_by_time': notesByTime,
}
