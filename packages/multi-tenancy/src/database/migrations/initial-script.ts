import type { DatabaseConnection, Driver } from 'kysely'
import type { Statement } from '../../types/provider.ts'
import { deriveKysely } from '../../util/derive-kysely.ts'
import { statement } from '../../util/dialect.ts'
import type { LoadedMigration, Migrations } from './define.ts'
import { createStatements, insertRow, type MigrationProvider, type Writer } from './journal.ts'
import { createStep, type Step } from './plan.ts'

/** The statements that migrate an empty database, for one batch. */
interface InitialScript {
  readonly statements: readonly Statement[]
  /** No migration is left for `migrate`. */
  readonly complete: boolean
}

/** Changes the schema and answers nothing that `up` could go by. */
const SCHEMA = /^\s*(?:CREATE|ALTER|DROP|COMMENT|GRANT|REVOKE)\b/i

/**
 * The first migrations with their bookkeeping, up to the first that cannot be known beforehand: one with
 * `transaction: false` or a setting, or a Kysely migration that does more than change the schema. Nothing is read from any
 * database, and `up` runs once for each tenant, so no tenant's value gets into another's script.
 */
export async function buildInitialScript<Client>(
  provider: MigrationProvider<Client>,
  client: Client,
  migrations: Migrations,
): Promise<InitialScript> {
  const { dialect } = provider.capabilities
  const attempt = crypto.randomUUID()
  const writer: Writer = { attempt, sql: (sql, ...params) => statement(dialect, sql, ...params) }
  // All are read before any is written down: a statement that is refused is refused before the first one runs.
  const steps = (await migrations.load()).map((each) => createStep(each, undefined, provider))
  const statements = createStatements(dialect)
  const batched: Step[] = []
  for (const step of steps) {
    if (!step.transaction || step.settings.length > 0) break
    const texts = step.statements ?? (await recordStatements(provider, client, step))
    if (texts === undefined) break
    const { name, checksum, total } = step
    const row = { name, checksum, state: 'done', statement: total, attempt } as const
    statements.push(insertRow(writer, row, Date.now()), ...texts.map((sql) => ({ sql })))
    batched.push({ ...step, statements: texts })
  }
  await provider.migrationSql.foreignKeys?.checkRebuilds(
    [...batched, ...steps.slice(batched.length)],
    provider.batchWithoutForeignKeys !== undefined,
    async () => [],
  )
  return { statements, complete: batched.length === steps.length }
}

/** What `up` would run, where that is nothing but changes of the schema; `undefined` for any other `up`. */
async function recordStatements<Client>(
  provider: MigrationProvider<Client>,
  client: Client,
  { up }: LoadedMigration,
): Promise<readonly string[] | undefined> {
  const recorded: string[] = []
  let all = true
  const refuse = (): never => {
    all = false
    throw new Error('More than the schema')
  }
  const connection: DatabaseConnection = {
    async executeQuery({ sql, parameters }) {
      if (!SCHEMA.test(sql) || parameters.length > 0) refuse()
      if (all) recorded.push(sql)
      return { rows: [] }
    },
    streamQuery: refuse,
  }
  const driver: Driver = {
    async init() {},
    acquireConnection: async () => connection,
    beginTransaction: async () => refuse(),
    async commitTransaction() {},
    async rollbackTransaction() {},
    async releaseConnection() {},
    async destroy() {},
  }
  await up?.(deriveKysely(provider.kysely(client), driver, refuse)).catch(() => {
    all = false
  })
  return all ? recorded : undefined
}
