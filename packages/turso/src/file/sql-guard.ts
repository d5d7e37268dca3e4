import { significantTokens, TenancyError, unquote } from '@tenantry/multi-tenancy/provider'

/**
 * Checks SQL before it runs.
 *
 * @returns `taints`: whether the SQL may leave a temporary table or a setting on its connection
 * @throws `statement_refused`
 */
export type SqlCheck = (sql: string) => { readonly taints: boolean }

/** Pragmas that set something in the tenant's database or on the connection, which is not used again after them. */
const SETTINGS = new Set(
  (
    'analysis_limit application_id defer_foreign_keys foreign_keys incremental_vacuum legacy_alter_table optimize ' +
    'query_only recursive_triggers user_version wal_checkpoint'
  ).split(' '),
)

/** Pragmas that only read, with or without an argument. (`database_list` is refused: it returns the server's paths.) */
const READ_ONLY = new Set(
  (
    'collation_list compile_options data_version foreign_key_check foreign_key_list freelist_count function_list ' +
    'index_info index_list index_xinfo integrity_check module_list pragma_list quick_check table_info table_list ' +
    'table_xinfo'
  ).split(' '),
)

/** Pragmas that only read while they have no argument. */
const READ_ONLY_WITHOUT_ARGUMENT = new Set(
  (
    'auto_vacuum busy_timeout cache_size encoding journal_mode locking_mode max_page_count page_count page_size ' +
    'schema_version synchronous temp_store'
  ).split(' '),
)

const MAX_CACHED = 500
const MAX_CACHED_LENGTH = 4_096

/**
 * Creates the check that keeps SQL inside its own database. SQLite runs in this process, with this process's rights, and
 * its driver has no authorizer that could allow a tenant's own tables only. So statements that access another file
 * (`ATTACH`, `VACUUM INTO`, functions that read files) or settings of the process are refused by their words, wherever
 * in the text the words are.
 *
 * @param forbidden names of functions and virtual tables, in lower case
 */
export function createSqlGuard(forbidden: ReadonlySet<string>): SqlCheck {
  const cache = new Map<string, ReturnType<SqlCheck>>()
  return (sql) => {
    const cached = cache.get(sql)
    if (cached !== undefined) return cached
    const result = check(sql, forbidden)
    if (sql.length <= MAX_CACHED_LENGTH) {
      if (cache.size >= MAX_CACHED) for (const oldest of cache.keys()) if (cache.delete(oldest)) break
      cache.set(sql, result)
    }
    return result
  }
}

/** A token of SQLite; spaces and comments are left out. */
interface Token {
  /** `word`: unquoted, so possibly a keyword. `string`: SQLite also accepts it as a name. */
  readonly kind: 'word' | 'name' | 'string' | 'symbol'
  /** Without its quotes, in lower case: SQLite compares names so. */
  readonly value: string
}

/**
 * Reads SQL as SQLite does, so that nothing can hide in what SQLite takes for code. `undefined` for the two texts over
 * which the two could disagree: a NUL, at which SQLite stops, and a Tcl variable such as `$a(')`, whose parentheses hide
 * a quote from SQLite.
 */
export function readTokens(sql: string): Token[] | undefined {
  if (sql.includes('\0')) return undefined
  const tokens: Token[] = []
  for (const token of significantTokens(sql, 'sqlite')) {
    const { kind, text, end } = token
    if (kind === 'variable') {
      if (!text.startsWith('?') && sql.charAt(end) === '(') return undefined
      tokens.push({ kind: 'symbol', value: '?' })
    } else if (kind === 'word' || kind === 'name' || kind === 'string')
      tokens.push({ kind, value: unquote(token).toLowerCase() })
    else tokens.push({ kind: 'symbol', value: text })
  }
  return tokens
}

/** @throws `statement_refused` */
function check(sql: string, forbidden: ReadonlySet<string>): ReturnType<SqlCheck> {
  const tokens = readTokens(sql)
  if (tokens === undefined) throw createRefusal('a NUL character or a variable with parentheses')
  let taints = false
  for (const [index, { kind, value }] of tokens.entries()) {
    if (kind === 'symbol') continue
    if (forbidden.has(value)) throw createRefusal(value)
    if (value === 'temp' || value === 'temporary') taints = true
    if (kind !== 'word') continue
    if (value === 'attach' || value === 'detach') throw createRefusal(value.toUpperCase())
    if (value === 'vacuum' && !isPlainVacuum(tokens, index + 1)) throw createRefusal('VACUUM INTO')
    if (value === 'pragma' && isSetting(tokens, index + 1)) taints = true
  }
  return { taints }
}

function isPlainVacuum(tokens: readonly Token[], index: number): boolean {
  const next = tokens[index]?.value === 'main' ? index + 1 : index
  const { value } = tokens[next] ?? { value: ';' }
  return value === ';'
}

/** @throws `statement_refused` for a pragma that is not in one of the lists */
function isSetting(tokens: readonly Token[], index: number): boolean {
  const name = tokens[index + 1]?.value === '.' ? index + 2 : index
  const pragma = tokens[name]?.value ?? ''
  const next = tokens[name + 1]?.value
  const hasArgument = next !== undefined && next !== ';'
  if (READ_ONLY.has(pragma) || (READ_ONLY_WITHOUT_ARGUMENT.has(pragma) && !hasArgument)) return false
  if (SETTINGS.has(pragma)) return hasArgument
  throw createRefusal(`PRAGMA ${/^\w{1,40}$/.test(pragma) ? pragma : '?'}`)
}

function createRefusal(construct: string): TenancyError {
  return new TenancyError(
    'statement_refused',
    `SQL with ${construct} is refused: it could leave the tenant's own database. Quote a column of this name.`,
  )
}
