import { createClient } from '@libsql/client/sqlite3'

/**
 * The functions and virtual tables of the native engine that access only their arguments and the tenant's own
 * database. Any other function of an engine is refused, so that a new version of the driver cannot add a way out of the
 * database. In libsql 0.5.29 `readfile`, `writefile` and `fsdir` access every file of the process, `sha3_query` runs SQL
 * from a string, `sqlite_dbpage` writes raw pages, the full-text engines call any function by a name that may be a
 * parameter (FTS3's `uncompress=readfile`, FTS5's `rank MATCH ?`), a vector index inserts its own name into SQL
 * (`CREATE INDEX "x (a); ATTACH …; --"`), and with a big number `replicate`, `padl`, `padr`, `padc` and `concat_ws` write
 * beyond their memory.
 *
 * @see https://nvd.nist.gov/vuln/detail/CVE-2025-29087
 */
const ALLOWED: ReadonlySet<string> = new Set(
  `
  -> ->> abs acos acosh asin asinh atan atan2 atanh atn2 avg bm25 ceil ceiling changes char charindex coalesce
  concat cos cosh cot coth count cume_dist current_date current_time current_timestamp date datetime
  degrees dense_rank difference exp first_value floor format generate_series geopoly
  geopoly_area geopoly_bbox geopoly_blob geopoly_ccw geopoly_contains_point geopoly_debug geopoly_group_bbox
  geopoly_json geopoly_overlap geopoly_regular geopoly_svg geopoly_within geopoly_xform glob group_concat hex
  highlight ifnull iif instr json json_array json_array_length json_each json_error_position json_extract
  json_group_array json_group_object json_insert json_object json_patch json_quote json_remove json_replace json_set
  json_tree json_type json_valid jsonb jsonb_array jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert
  jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set julianday lag last_insert_rowid last_rows_affected
  last_value lead leftstr length like likelihood likely ln log log10 lower lower_quartile ltrim
  match max median min mod mode nth_value ntile nullif octet_length offsets optimize percent_rank pi
  pow power printf proper quote radians random randomblob rank regexp regexpi replace reverse rightstr
  round row_number rtree rtree_i32 rtreecheck rtreedepth rtreenode rtrim sha3 sign sin sinh snippet soundex
  sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id sqlite_version sqrt square stdev strfilter
  strftime string_agg substr substring subtype sum tan tanh time timediff total total_changes trim trunc typeof unhex
  unicode unixepoch unlikely upper upper_quartile uuid uuid_blob uuid_str variance vector vector16 vector1bit
  vector32 vector64 vector8 vector_distance_cos vector_distance_l2 vector_extract vectorb16 zeroblob
  `
    .trim()
    .split(/\s+/),
)

/** Refused even when an engine does not list them. */
const ALWAYS_FORBIDDEN = (
  'carray concat_ws dbstat fsdir fts3 fts3_tokenizer fts3tokenize fts4 fts4aux fts5 fts5vocab ' +
  'libsql_vector_idx load_extension matchinfo padc padl padr pragma_database_list readfile replicate sha3_query ' +
  'sqlite3mc_codec_data sqlite3mc_config sqlite3mc_config_table sqlite3mc_version sqlite_crypt sqlite_dbpage ' +
  'sqlite_log sqlite_stmt vector_top_k writefile'
).split(' ')

/**
 * The names of functions and virtual tables of this engine that no tenant's SQL may contain. They are read from a
 * database in memory, because a tenant's file may have a view or table with the name of the list itself.
 */
export async function listForbiddenFunctions(): Promise<ReadonlySet<string>> {
  const client = createClient({ url: ':memory:' })
  try {
    const { rows } = await client.execute(
      'SELECT lower(name) AS name FROM pragma_function_list UNION SELECT lower(name) FROM pragma_module_list',
    )
    const names = rows.map((row) => String(row.name)).filter((name) => !ALLOWED.has(name))
    return new Set([...names, ...ALWAYS_FORBIDDEN])
  } finally {
    client.close()
  }
}
