/** A first migration, and one of five statements, each of which can be seen from outside and none of which can run twice. */
export const FIRST = { '0001_notes': 'CREATE TABLE notes (id INT PRIMARY KEY, body VARCHAR(100) NOT NULL)' }

export const STATEMENTS: readonly string[] = [
  'CREATE TABLE tags (id INT PRIMARY KEY, label VARCHAR(50))',
  'ALTER TABLE notes ADD COLUMN pinned INT',
  "INSERT INTO tags (id, label) VALUES (1, 'once')",
  'CREATE INDEX notes_pinned ON notes (pinned)',
  'ALTER TABLE tags ADD COLUMN color VARCHAR(20)',
]

export const FIVE: Readonly<Record<string, string>> = { ...FIRST, '0002_five': STATEMENTS.join(';\n') }
