import type { DurableObjectContext } from 'cloudflare:workers'
import { quoteName, userSchema, userTables } from './snapshot.ts'
import type { WireDumpOptions } from './wire.ts'

/**
 * A database as SQL text, as D1 exports it. Values are SQLite's own literals, so no digit of a number is lost.
 *
 * @throws Error for a virtual table
 */
export function dumpSql(
  sql: DurableObjectContext['storage']['sql'],
  { noSchema, noData, tables }: WireDumpOptions,
): string {
  const lines = ['PRAGMA defer_foreign_keys=TRUE;']
  const wanted = (name: string): boolean => tables.length === 0 || tables.includes(name)
  const schema = userSchema(sql)
  const tableSql = new Map(
    schema.filter(({ type }) => type === 'table').map((entry) => [entry.name, entry.sql]),
  )
  for (const { name, columns } of userTables(sql)) {
    const sequence = name === 'sqlite_sequence'
    if (!sequence && !wanted(name)) continue
    if (!noSchema)
      lines.push(sequence ? 'DELETE FROM sqlite_sequence;' : `${createTable(tableSql.get(name))};`)
    if (noData) continue
    const into = `INSERT INTO ${quoteName(name)} (${columns.map(quoteName).join(',')}) VALUES`
    const literals = columns.map((column) => `quote(${quoteName(column)})`)
    const filter = sequence && tables.length > 0 ? ` WHERE name IN (${tables.map(quoteText).join(', ')})` : ''
    const rows = sql.exec(`SELECT ${literals.join(', ')} FROM ${quoteName(name)}${filter}`)
    for (const row of rows.raw()) lines.push(`${into}(${row.join(',')});`)
  }
  if (!noSchema) {
    for (const entry of schema) if (entry.type !== 'table' && wanted(entry.name)) lines.push(`${entry.sql};`)
  }
  return `${lines.join('\n')}\n`
}

function createTable(sql = ''): string {
  if (/^CREATE VIRTUAL TABLE/i.test(sql)) {
    throw new Error('D1 Export error: cannot export databases with Virtual Tables (fts5)')
  }
  return sql
}

function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
