import { type SqlToken, significantTokens, unquote } from '../../util/sql/tokens.ts'

/** A foreign key of one table to another. */
interface ForeignKey {
  readonly table: string
  /** In lower case, as SQLite compares names. */
  readonly target: string
  /** `CASCADE`, `SET NULL`, …: what happens to its rows when those of `target` go. */
  readonly onDelete: string
}

/** A table that a migration drops while others reference it. */
export interface DroppedTable {
  readonly table: string
  readonly references: readonly ForeignKey[]
  /** Another table gets its name afterwards, so the rows of others were not meant to go with it. */
  readonly rebuilt: boolean
}

/** The foreign keys of a SQLite database, as its statements leave them. */
export interface ForeignKeys {
  /** Takes the statements of one migration into account, and returns the tables it drops. */
  apply(statements: readonly string[]): readonly DroppedTable[]
}

/**
 * Follows foreign keys through statements. SQLite deletes the rows of a table that is dropped, which deletes or changes
 * what references them.
 *
 * @param schema the `CREATE` statements of the database
 * @see https://www.sqlite.org/lang_droptable.html
 */
export function trackForeignKeys(schema: readonly string[]): ForeignKeys {
  let keys: readonly ForeignKey[] = []

  function apply(statements: readonly string[]): DroppedTable[] {
    const dropped: DroppedTable[] = []
    const markRebuilt = (name: string): void => {
      for (const [index, each] of dropped.entries())
        if (lower(each.table) === lower(name)) dropped[index] = { ...each, rebuilt: true }
    }
    for (const text of statements) {
      const change = readTableChange(text)
      if (change === undefined) continue
      const { kind, table } = change
      if (kind === 'drop') {
        const references = keys.filter(
          (key) => key.target === lower(table) && lower(key.table) !== key.target,
        )
        if (references.length > 0) dropped.push({ table, references, rebuilt: false })
        keys = keys.filter((key) => lower(key.table) !== lower(table))
      } else if (kind === 'rename') {
        const { newName } = change
        markRebuilt(newName)
        keys = keys.map((key) => ({
          ...key,
          table: lower(key.table) === lower(table) ? newName : key.table,
          target: key.target === lower(table) ? lower(newName) : key.target,
        }))
      } else {
        if (kind === 'create') markRebuilt(table)
        keys = [...keys, ...change.keys]
      }
    }
    return dropped
  }

  apply(schema)
  return { apply }
}

/** Whether rows of other tables are changed when the dropped table's go. */
export function losesRows({ references }: DroppedTable): boolean {
  return references.some(({ onDelete }) => /^(?:CASCADE|SET)/.test(onDelete))
}

/** `"posts" (ON DELETE CASCADE)`, and the others. */
export function describeReferences({ references }: DroppedTable): string {
  return references
    .map(({ table, onDelete }) => `"${table}"${onDelete && ` (ON DELETE ${onDelete})`}`)
    .join(', ')
}

type TableChange =
  | { readonly kind: 'create' | 'alter'; readonly table: string; readonly keys: readonly ForeignKey[] }
  | { readonly kind: 'rename'; readonly table: string; readonly newName: string }
  | { readonly kind: 'drop'; readonly table: string }

/** What a statement does to a table's existence, name or foreign keys. */
export function readTableChange(text: string): TableChange | undefined {
  if (!/^\W*(?:\/\*|--|CREATE|ALTER|DROP)/i.test(text)) return undefined
  const tokens = [...significantTokens(text, 'sqlite')]
  const target = readTarget(tokens)
  if (target === undefined) return undefined
  const { verb, table, rest } = target
  if (verb === 'DROP') return { kind: 'drop', table }
  const words = tokens.slice(rest).map(keyword)
  if (verb === 'ALTER' && words[0] === 'RENAME' && words[1] === 'TO') {
    const newName = tokens[rest + 2]
    return newName && { kind: 'rename', table, newName: unquote(newName) }
  }
  const keys = words.flatMap((word, index) => {
    const parent = tokens[rest + index + 1]
    if (word !== 'REFERENCES' || parent === undefined) return []
    return { table, target: lower(unquote(parent)), onDelete: readOnDelete(words.slice(index)) }
  })
  return { kind: verb === 'CREATE' ? 'create' : 'alter', table, keys }
}

/** The verb and the table of `CREATE`, `ALTER` and `DROP TABLE`, and where the text goes on. */
function readTarget(tokens: readonly SqlToken[]): { verb: string; table: string; rest: number } | undefined {
  let at = 0
  while (tokens[at]?.text === ';') at++
  const verb = keyword(tokens[at])
  if (/^TEMP(?:ORARY)?$/.test(keyword(tokens[at + 1]))) at++
  if (!/^(?:CREATE|ALTER|DROP)$/.test(verb) || keyword(tokens[at + 1]) !== 'TABLE') return undefined
  at += 2
  if (keyword(tokens[at]) === 'IF') at += keyword(tokens[at + 1]) === 'NOT' ? 3 : 2
  if (tokens[at + 1]?.text === '.') at += 2
  const table = tokens[at]
  return table && { verb, table: unquote(table), rest: at + 1 }
}

/** The action after `ON DELETE` in a foreign key that begins with `REFERENCES`. */
function readOnDelete(words: readonly string[]): string {
  const next = words.findIndex((word, index) => index > 0 && word === 'REFERENCES')
  const own = words.slice(0, next < 0 ? undefined : next)
  const at = own.findIndex((word, index) => word === 'ON' && own[index + 1] === 'DELETE')
  if (at < 0) return ''
  const [first = '', second] = own.slice(at + 2)
  return first === 'SET' || first === 'NO' ? `${first} ${second}` : first
}

/** A bare word in upper case; `''` for anything else. */
function keyword(token: SqlToken | undefined): string {
  return token?.kind === 'word' ? token.text.toUpperCase() : ''
}

function lower(name: string): string {
  return name.toLowerCase()
}
