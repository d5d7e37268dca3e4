import { TenancyError } from '@tenantry/multi-tenancy/provider'
import { type Token, tokenize } from './lexer.ts'

/** What is known of SQL that may run. */
export interface Verdict {
  /** It may leave something on the connection that the next user of it would notice: a temporary table, a setting. */
  readonly taints: boolean
}

/** Settings that end with the connection or belong to the database; whoever sets one gets the connection for the last time. */
const SETTINGS = new Set(
  (
    'analysis_limit application_id defer_foreign_keys foreign_keys incremental_vacuum legacy_alter_table optimize ' +
    'query_only recursive_triggers user_version wal_checkpoint'
  ).split(' '),
)

/** Pragmas that only tell something, with an argument or without. (`database_list` tells the server's paths.) */
const QUESTIONS = new Set(
  (
    'collation_list compile_options data_version foreign_key_check foreign_key_list freelist_count function_list ' +
    'index_info index_list index_xinfo integrity_check module_list pragma_list quick_check table_info table_list ' +
    'table_xinfo'
  ).split(' '),
)

/** Pragmas that only tell something while they get no argument. */
const SILENT_QUESTIONS = new Set(
  (
    'auto_vacuum busy_timeout cache_size encoding journal_mode locking_mode max_page_count page_count page_size ' +
    'schema_version synchronous temp_store'
  ).split(' '),
)

const MEMORY = 500
const MEMORABLE_LENGTH = 4_096

/**
 * Says of SQL whether it stays inside its own database. SQLite runs inside this process, with this process's
 * rights, and its driver exposes no authorizer that could let a tenant's tables through and nothing else; so
 * statements that reach another file (`ATTACH`, `VACUUM INTO`, functions that read files) or settings of the
 * whole process are refused by their words, wherever in the text they stand.
 *
 * @param forbidden names of functions and virtual tables, in lower case
 */
export function createGuard(forbidden: ReadonlySet<string>): (sql: string) => Verdict {
  const known = new Map<string, Verdict>()
  return (sql) => {
    const remembered = known.get(sql)
    if (remembered !== undefined) return remembered
    const verdict = judge(sql, forbidden)
    if (sql.length <= MEMORABLE_LENGTH) {
      if (known.size >= MEMORY) for (const oldest of known.keys()) if (known.delete(oldest)) break
      known.set(sql, verdict)
    }
    return verdict
  }
}

/** @throws `statement_refused` */
function judge(sql: string, forbidden: ReadonlySet<string>): Verdict {
  const tokens = tokenize(sql)
  if (tokens === undefined) throw refused('a NUL character or a variable with parentheses')
  let taints = false
  for (const [index, { kind, value }] of tokens.entries()) {
    if (kind === 'symbol') continue
    if (forbidden.has(value)) throw refused(value)
    if (value === 'temp' || value === 'temporary') taints = true
    if (kind !== 'word') continue
    if (value === 'attach' || value === 'detach') throw refused(value.toUpperCase())
    if (value === 'vacuum' && !isPlainVacuum(tokens, index + 1)) throw refused('VACUUM INTO')
    if (value === 'pragma' && isSetting(tokens, index + 1)) taints = true
  }
  return { taints }
}

function isPlainVacuum(tokens: readonly Token[], at: number): boolean {
  const next = tokens[at]?.value === 'main' ? at + 1 : at
  const { value } = tokens[next] ?? { value: ';' }
  return value === ';'
}

/** @throws `statement_refused` for a pragma that is neither a question nor a setting of the tenant's own */
function isSetting(tokens: readonly Token[], at: number): boolean {
  const name = tokens[at + 1]?.value === '.' ? at + 2 : at
  const pragma = tokens[name]?.value ?? ''
  const next = tokens[name + 1]?.value
  const hasArgument = next !== undefined && next !== ';'
  if (QUESTIONS.has(pragma) || (SILENT_QUESTIONS.has(pragma) && !hasArgument)) return false
  if (SETTINGS.has(pragma)) return hasArgument
  throw refused(`PRAGMA ${/^\w{1,40}$/.test(pragma) ? pragma : '?'}`)
}

function refused(what: string): TenancyError {
  return new TenancyError(
    'statement_refused',
    `SQL that could leave the tenant’s own database is refused: ${what}. A column of such a name needs quotes.`,
  )
}
