import { type CallOptions, derivePassword } from '@tenantry/multi-tenancy/provider'
import { escapeIdentifier, escapeLiteral, type QueryResult } from 'pg'
import type { Settings } from '../options.ts'
import { CREATE_ROUTINE, ROUTINE_IS_THERE } from './reset.ts'
import { scramVerifier } from './scram.ts'

/** What does not change while the process lives. */
export interface ServerFacts {
  readonly database: string
  readonly databaseOid: number
  /** Who the administrator is. */
  readonly user: string
  readonly superuser: boolean
  /** As in `180004`. */
  readonly version: number
}

/** Reads them once; a failure is not kept. */
export interface Facts {
  read(options: CallOptions): Promise<ServerFacts>
  /**
   * Prepares the database for the isolation, once: what units of work behind a pooler call, no rights on `public`, and a
   * login to take roles with.
   */
  prepare(options: CallOptions): Promise<ServerFacts>
  /** The next `prepare` reads the server again. */
  doubt(): void
}

type Admin = (text: string, options: CallOptions) => Promise<QueryResult[]>

export function createFacts(admin: Admin, settings: Settings): Facts {
  const { isolation, secret, servers } = settings
  const ownLogin = [...servers.values()].some(({ serve }) => serve?.user === undefined)
  // Values, not promises: on Workers another request's promise may never settle. Asking twice does no harm.
  let known: ServerFacts | undefined
  let fit = false

  async function read(options: CallOptions): Promise<ServerFacts> {
    if (known !== undefined) return known
    const [result] = await admin(
      'SELECT d.datname, d.oid, current_user AS name, r.rolsuper, ' +
        "current_setting('server_version_num') AS version FROM pg_catalog.pg_database d, pg_catalog.pg_roles r " +
        'WHERE d.datname = current_database() AND r.rolname = current_user',
      options,
    )
    const row = result?.rows[0]
    const { datname: database, name: user, rolsuper: superuser } = row
    known = { database, databaseOid: Number(row.oid), user, superuser, version: Number(row.version) }
    return known
  }

  async function prepare(options: CallOptions): Promise<ServerFacts> {
    const facts = await read(options)
    if (fit) return facts
    await prepareRoutine(options)
    if (isolation !== 'search_path') await prepareRoles(facts, options)
    fit = true
    return facts
  }

  async function prepareRoutine(options: CallOptions): Promise<void> {
    const [found] = await admin(ROUTINE_IS_THERE, options)
    if (!found?.rows[0].there) await admin(CREATE_ROUTINE, options)
  }

  async function prepareRoles(facts: ServerFacts, options: CallOptions): Promise<void> {
    const login = `tenantry_${facts.databaseOid}`
    const [schemas, logins] = await admin(
      "SELECT pg_catalog.has_schema_privilege('public', n.oid, 'USAGE') AS usage, " +
        "pg_catalog.pg_has_role(n.nspowner, 'USAGE') AS mine FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'; " +
        `SELECT count(*) AS logins FROM pg_catalog.pg_roles WHERE rolname = ${escapeLiteral(login)}`,
      options,
    )
    const { usage, mine } = schemas?.rows[0] ?? {}
    if (usage && mine) await admin('REVOKE ALL ON SCHEMA public FROM PUBLIC', options)
    if (isolation === 'set_role' && ownLogin && Number(logins?.rows[0].logins) === 0) {
      const verifier = await scramVerifier(await derivePassword(secret, login))
      await admin(
        `CREATE ROLE ${escapeIdentifier(login)} LOGIN NOINHERIT PASSWORD ${escapeLiteral(verifier)}`,
        options,
      ).catch((error: unknown) => {
        // Another process created it between the two statements.
        if ((error as { code?: unknown }).code !== '42710') throw error
      })
    }
  }

  return {
    read,
    prepare,
    doubt() {
      fit = false
    },
  }
}
