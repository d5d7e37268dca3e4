import { configError } from '../../errors.ts'
import type { MigrationStatements, StatementScope } from '../../types/migration-sql.ts'
import type { Dialect } from '../../types/provider.ts'
import { locateStatements } from '../../util/sql/split.ts'
import { type SqlToken, significantTokens, unquote } from '../../util/sql/tokens.ts'

/** Where a statement comes from and where it would run. */
export interface StatementPlace {
  readonly dialect: Dialect
  readonly rules: readonly Rule[]
  readonly scope: StatementScope
  /** `.sql` text, or the `up` of a Kysely migration. */
  readonly source: 'sql' | 'code'
}

/** The first rule that matches decides. Without a problem it allows the statement. */
export interface Rule extends Partial<Pick<StatementPlace, 'scope' | 'source'>> {
  /** Is matched with what `readHead` returns. */
  readonly pattern: RegExp
  readonly problem?: string
}

const RUNNER = 'the runner begins and ends the transaction, so leave this out'
const NO_EFFECT = 'it has no effect on the next statement, so leave out `transaction: false`'
const LEAVES = 'it would leave the database of the tenant'
const pragma = (rest: string): RegExp => new RegExp(`^PRAGMA (?:\\S+ \\. )?${rest}`)

/** Statements that last no longer than their connection. */
const OF_SESSION =
  /^(?:SET|RESET|PREPARE|EXECUTE|DEALLOCATE|DECLARE|DISCARD|LOAD|LOCK|CREATE (?:GLOBAL |LOCAL )?TEMP(?:ORARY)?|SELECT (?:PG_CATALOG \. )?SET_CONFIG)\b/
const FOREIGN_KEYS_OFF = pragma('FOREIGN_KEYS [=(] (?:OFF|NO|FALSE|0)\\b')

const TRANSACTION_RULES: readonly Rule[] = [
  { source: 'code', scope: 'transaction', pattern: /^(?:SAVEPOINT|RELEASE|ROLLBACK (?:\w+ )?TO)\b/ },
  { source: 'code', scope: 'session', pattern: /^(?:BEGIN|START|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)\b/ },
  {
    source: 'code',
    pattern: /^(?:BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE)\b/,
    problem: 'use `db.transaction()` instead',
  },
  {
    pattern: /^(?:BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|XA|PREPARE TRANSACTION)\b/,
    problem: RUNNER,
  },
]

const SESSION_RULE: Rule = { scope: 'nothing', pattern: OF_SESSION, problem: NO_EFFECT }

export const SQLITE_RULES: readonly Rule[] = [
  ...TRANSACTION_RULES,
  { pattern: /^\. /, problem: 'only the sqlite3 shell knows this command, so leave it out' },
  { pattern: /^(?:ATTACH|DETACH)\b/, problem: LEAVES },
  {
    scope: 'transaction',
    pattern: /^VACUUM\b/,
    problem: 'SQLite refuses it in a transaction, so set `transaction: false`',
  },
  {
    source: 'code',
    pattern: FOREIGN_KEYS_OFF,
    problem: 'it has no effect in code, so write this migration as .sql text',
  },
  { scope: 'nothing', pattern: FOREIGN_KEYS_OFF, problem: NO_EFFECT },
  { pattern: FOREIGN_KEYS_OFF },
  { pattern: pragma('FOREIGN_KEYS [=(] (?:ON|YES|TRUE|1)\\b') },
  { scope: 'transaction', pattern: pragma('DEFER_FOREIGN_KEYS [=(]') },
  { pattern: pragma('(?:(?:USER_VERSION|APPLICATION_ID) [=(]|FOREIGN_KEY_CHECK|OPTIMIZE)') },
  { source: 'code', pattern: pragma('\\w+(?! =)(?: \\(|$)') },
  { pattern: /^PRAGMA\b/, problem: 'it changes nothing that lasts, so leave it out' },
  SESSION_RULE,
]

export const POSTGRES_RULES: readonly Rule[] = [
  { pattern: /^\\/, problem: 'only psql knows this command, so leave it out' },
  {
    pattern: /^COPY .*\b(?:FROM STDIN|TO STDOUT)\b/,
    problem: 'only a client can send its data, so use INSERT (pg_dump --inserts)',
  },
  ...TRANSACTION_RULES,
  { pattern: /^(?:UN)?LISTEN\b/, problem: 'it ends with the connection of the migration' },
  SESSION_RULE,
]

export const MYSQL_RULES: readonly Rule[] = [
  ...TRANSACTION_RULES,
  {
    pattern: /^(?:\\|SOURCE|SYSTEM|PAGER|TEE|NOTEE|PROMPT|WARNINGS)(?! =)\b/,
    problem: 'only the mysql client knows this command, so leave it out',
  },
  {
    pattern: /^(?:CREATE|ALTER) (?:OR REPLACE )?(?:ALGORITHM = \w+ )?DEFINER = (?!CURRENT_USER|CURRENT_ROLE)/,
    problem: 'the user of the tenant may not create what another user defines, so leave out its DEFINER = …',
  },
  { pattern: /^USE\b/, problem: LEAVES },
  {
    pattern: /^(?:UN)?LOCK TABLES?\b/,
    problem: 'the journal could not be written meanwhile, so leave this out (mysqldump --skip-add-locks)',
  },
  {
    pattern:
      /^SET (?:.* )?(?:(?:SESSION |LOCAL )?TRANSACTION\b|(?:@@(?:\w+\.)?)?AUTOCOMMIT (?:: )?= (?!1|ON))/,
    problem: RUNNER,
  },
  {
    pattern: /^SET (?:.* )?(?:(?:GLOBAL|PERSIST|PERSIST_ONLY) |@@(?:GLOBAL|PERSIST)\w*\.)/,
    problem: 'it would change the server of all tenants',
  },
]

/** Why a statement cannot have its effect where it would run, as half a sentence; `undefined` when it can. */
export function findProblem(head: string, place: StatementPlace): string | undefined {
  const rule = place.rules.find(
    ({ pattern, scope = place.scope, source = place.source }) =>
      scope === place.scope && source === place.source && pattern.test(head),
  )
  return rule?.problem
}

/** Whether the statement would have an effect on other migrations in the same transaction. */
function isSetting(head: string): boolean {
  return head.startsWith('PRAGMA') || OF_SESSION.test(head)
}

/** More words than these decide nothing. */
const MAX_WORDS = 60

/** The first words and symbols of a statement in upper case, with a space between each two. */
export function readHead(text: string, dialect: Dialect): string {
  const words: string[] = []
  for (const token of significantTokens(text, dialect)) {
    if (token.text === ';' && words.length === 0) continue
    words.push(readWord(token))
    if (words.length >= (/^(?:SET|COPY|\\)$/.test(words[0] ?? '') ? MAX_WORDS : 8)) break
  }
  return words.join(' ')
}

/** Other quoted text becomes a mark, so that no word in it is read as a keyword. */
function readWord(token: SqlToken): string {
  const value = unquote(token)
  if (/^\w+$/.test(value)) return value.toUpperCase()
  return token.kind === 'string' || token.kind === 'name' ? "'…'" : token.text.toUpperCase()
}

/** @throws `config_invalid` for a statement that cannot have its effect where it stands */
export function readStatements(
  name: string,
  sql: string,
  place: Omit<StatementPlace, 'source'>,
): MigrationStatements {
  const { dialect } = place
  const located = locateStatements(sql, dialect)
  const statements = located.map(({ text }) => text)
  const heads = statements.map((text) => readHead(text, dialect))
  for (const [index, head] of heads.entries()) {
    const problem = findProblem(head, { ...place, source: 'sql' })
    if (problem === undefined) continue
    const position = `statement ${index + 1} of ${statements.length} in line ${located[index]?.line}`
    throw configError('migrations', `${name}, ${position} (${head.slice(0, 60)}): ${problem}`)
  }
  return {
    statements,
    foreignKeysOff: dialect === 'sqlite' && heads.some((head) => FOREIGN_KEYS_OFF.test(head)),
    settings: heads.flatMap((head, index) => (isSetting(head) ? [index] : [])),
  }
}
