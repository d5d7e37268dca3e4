import type { Statement } from '@tenantry/multi-tenancy/provider'
import { StatementLimitError } from '../errors.ts'

/** Bytes of one statement's text, and values bound to it: https://developers.cloudflare.com/d1/platform/limits/ */
const MAX_SQL_BYTES = 100_000
const MAX_PARAMS = 100

/** @throws StatementLimitError for the first statement that D1 would reject, before any of them is sent */
export function checkStatementLimits(statements: readonly Statement[]): void {
  for (const [index, { sql, params = [] }] of statements.entries()) {
    // A UTF-16 unit has at most three bytes in UTF-8.
    const bytes = sql.length > MAX_SQL_BYTES / 3 ? new TextEncoder().encode(sql).length : 0
    if (bytes > MAX_SQL_BYTES) {
      throw new StatementLimitError(
        index,
        `Statement ${index + 1} is too long: ${bytes} bytes; D1 allows 100,000 bytes. Split it`,
      )
    }
    if (params.length > MAX_PARAMS) {
      throw new StatementLimitError(
        index,
        `Statement ${index + 1} binds ${params.length} values; D1 allows ${MAX_PARAMS}. Split it`,
      )
    }
  }
}
