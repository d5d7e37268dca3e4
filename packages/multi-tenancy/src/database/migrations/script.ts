import type { Kysely } from 'kysely'
import type { Statement } from '../../types/provider.ts'
import { statement } from '../../util/dialect.ts'
import { leadingKeyword } from '../../util/sql-split.ts'
import type { LoadedMigration, Migrations } from './define.ts'
import { createStatements, insertRow, type MigrationProvider, type Writer } from './journal.ts'
import { statementsIn } from './plan.ts'

/** What makes an empty database a migrated one, to be run as one batch. */
interface Script {
  readonly statements: readonly Statement[]
  /** No migration is left for `migrate`. */
  readonly complete: boolean
}

/** Changes the schema and answers nothing that `up` could go by. */
const SCHEMA = /^(?:CREATE|ALTER|DROP|COMMENT|GRANT|REVOKE)$/

/**
 * The migrations with their bookkeeping, from the first to the last that can be written down beforehand: all but those
 * that no transaction takes, and Kysely migrations that do more than change the schema. Nothing is read from any
 * database, and `up` runs for each tenant anew, so no tenant's value gets into another's script.
 */
export async function scriptOf<Client>(
  provider: MigrationProvider<Client>,
  client: Client,
  migrations: Migrations,
): Promise<Script> {
  const { dialect } = provider.capabilities
  const attempt = crypto.randomUUID()
  const writer: Writer = { attempt, sql: (sql, ...params) => statement(dialect, sql, ...params) }
  const all = await migrations.load()
  const statements = createStatements(dialect)
  let count = 0
  for (const migration of all) {
    const own = migration.transaction ? await statementsOf(provider, client, migration) : undefined
    if (own === undefined) break
    const { name, checksum } = migration
    const row = { name, checksum, state: 'done', statement: migration.up ? 1 : own.length, attempt } as const
    statements.push(insertRow(writer, row, Date.now()), ...own)
    count++
  }
  return { statements, complete: count === all.length }
}

async function statementsOf<Client>(
  provider: MigrationProvider<Client>,
  client: Client,
  { name, sql, up }: LoadedMigration,
): Promise<readonly Statement[] | undefined> {
  const { dialect } = provider.capabilities
  if (sql !== undefined) return statementsIn(name, sql, dialect).map((text) => ({ sql: text }))
  const recorded: Statement[] = []
  let all = true
  const db = provider.kysely(client)
  const executor = db.getExecutor().withConnectionProvider({
    provideConnection: (consumer) =>
      consumer({
        async executeQuery({ sql: text, parameters }) {
          all &&= SCHEMA.test(leadingKeyword(text, dialect)) && parameters.length === 0
          if (!all) throw new Error('More than the schema')
          recorded.push({ sql: text })
          return { rows: [] }
        },
        streamQuery() {
          all = false
          throw new Error('More than the schema')
        },
      }),
  })
  const Recorder = db.constructor as new (parts: object) => Kysely<any>
  // What it would need more than an executor for, a transaction or a look at the tables, is more than the schema.
  await up?.(new Recorder({ executor, config: {}, driver: {}, dialect: {} })).catch(() => {
    all = false
  })
  return all ? recorded : undefined
}
