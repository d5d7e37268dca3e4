import { sendLocal } from '../http.ts'
import type { Databases } from './databases.ts'
import { executeRequest, readRows, type SqlRow, type SqlValue } from './hrana.ts'
import { namespaceName } from './names.ts'
import type { Namespaces } from './namespaces.ts'
import type { GroupScope, PlatformTokens } from './platform-tokens.ts'
import type { DatabaseRecord, Records } from './records.ts'
import type { SqldProcess } from './sqld.ts'
import { mintSqlToken, type TokenGrant } from './tokens.ts'

/** A database as the oracle sees it. */
export interface OracleDatabase {
  readonly DbId: string
  readonly Hostname: string
  readonly Name: string
  readonly group: string
}

/** Ways around the API: no fault touches them and the request log does not show them. */
export interface TursoOracle {
  /** Every database there is, sorted by name. */
  databases(): OracleDatabase[]
  /** The namespaces whose files sqld has on disk, sorted: `{name}-{organization}`. */
  namespaces(): Promise<string[]>
  /** Whether sqld has the database of this name, regardless of the control plane's records. */
  exists(name: string): Promise<boolean>
  /**
   * Runs one statement in a database. Blocked reads and writes are blocked here too.
   *
   * @throws Error with SQLite's `code`; Error when sqld refuses
   */
  execute(name: string, sql: string, args?: readonly SqlValue[]): Promise<SqlRow[]>
  /** Creates a database: an orphan, as a crash would leave it. @default group 'default' */
  create(name: string, options?: { group?: string | undefined }): Promise<OracleDatabase>
  /** Destroys a database behind the control plane's back. Destroying an absent one succeeds. */
  destroy(name: string): Promise<void>
  /** Mints a SQL token of the database's own key with any claims: expired ones, or another namespace's. */
  token(name: string, grant?: Partial<TokenGrant>): Promise<string>
  /** Mints a platform token pinned to a group and some scopes, as least privilege wants it. */
  platformToken(scope: GroupScope): Promise<string>
}

/** The parts that the oracle reads. */
export interface OracleOptions {
  readonly records: Records
  readonly databases: Databases
  readonly namespaces: Namespaces
  readonly sqld: SqldProcess
  readonly tokens: PlatformTokens
}

/** The oracle of one emulator. */
export function createOracle({ records, databases, namespaces, sqld, tokens }: OracleOptions): TursoOracle {
  const execute: TursoOracle['execute'] = async (name, sql, args = []) => {
    const { hostname } = databases.find(name)
    const token = await mintSqlToken(records.internalKey, { authorization: 'full-access' }, Date.now())
    const reply = await sendLocal({
      ...{ port: sqld.httpPort, method: 'POST', path: '/v2/pipeline', body: executeRequest(sql, args) },
      headers: { host: hostname, authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    })
    const body = Buffer.from(reply.body).toString()
    if (reply.status !== 200) throw new Error(`sqld answered ${reply.status}: ${body}`)
    return readRows(body)
  }
  return {
    databases: () => [...records.databases.values()].map(present).sort((a, b) => (a.Name < b.Name ? -1 : 1)),
    namespaces: namespaces.list,
    exists: (name) => namespaces.exists(namespaceName(name, records.organization)),
    execute,
    create: async (name, { group = 'default' } = {}) => present(await databases.create({ name, group })),
    destroy: (name) =>
      records.change(async () => {
        const record = records.databases.get(name)
        if (record === undefined) return
        await namespaces.destroy(record.namespace)
        records.databases.delete(name)
      }),
    token: async (name, grant = {}) => {
      const { key, namespace } = databases.find(name)
      return await mintSqlToken(key, { authorization: 'full-access', namespace, ...grant }, Date.now())
    },
    platformToken: tokens.mint,
  }
}

function present(record: DatabaseRecord): OracleDatabase {
  return { DbId: record.id, Hostname: record.hostname, Name: record.name, group: record.group }
}
