import {
  classifyConnectionError,
  type DatabaseStatus,
  type Redactor,
  type Row,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import { isNumber } from '../errors.ts'
import type { DatabasePlace } from '../locator.ts'
import type { Databases } from './databases.ts'

/** The account is locked (MySQL, MariaDB). */
const LOCKED = [3118, 4151]
/** Access denied to the user or to its database, or locked. */
const DENIED = [1044, 1045, 1698, ...LOCKED]
/** No such database. */
const MISSING = [1046, 1049]

export interface RejectionOptions {
  /** The databases of the server of that name. */
  readonly findDatabases: (server: string) => Databases
  readonly mapError: (error: unknown) => TenancyError
  readonly redactor: Redactor
  readonly connectTimeout: number
}

/** Explains why the server rejected a tenant's connection. */
export interface Rejections {
  /**
   * Throws the reason why a connection could not be opened: the database is gone, was recreated, or is closed. Errors of
   * statements are not looked up, because their connection may be the only one left.
   */
  explain(place: DatabasePlace, error: unknown, onDatabaseGone: () => void): Promise<never>
  /** Where tenants share one user, the login proves nothing, so each new connection reads the registry. */
  checkRegistry(place: DatabasePlace, query: (sql: string, values: string[]) => Promise<Row[]>): Promise<void>
}

export function createRejections({
  findDatabases,
  mapError,
  redactor,
  connectTimeout,
}: RejectionOptions): Rejections {
  async function readStatus({ server, database, id }: DatabasePlace): Promise<DatabaseStatus | undefined> {
    const signal = AbortSignal.timeout(connectTimeout)
    return findDatabases(server)
      .find(database, { signal })
      .then((match) => match && toStatus({ id: match.place.id, access: match.access }, id))
      .catch(() => ({ same: true }))
  }

  return {
    async explain(place, error, onDatabaseGone) {
      // MariaDB answers for a missing user with any authentication method, also with one that the driver lacks.
      const isUnknownUser = (error as { code?: unknown }).code === 'AUTH_SWITCH_PLUGIN_ERROR'
      const isDenied = isUnknownUser || isNumber(error, ...DENIED, ...MISSING)
      // A database that is open by now was reopened meanwhile, so the next login succeeds.
      const cause = isNumber(error, ...LOCKED)
        ? new TenancyError('provider_unavailable', "The tenant's user was locked", {
            cause: redactor.error(error),
            retryAfter: 1,
          })
        : mapError(error)
      const status = isDenied ? await readStatus(place) : { same: true }
      throw classifyConnectionError(status, { cause, onDatabaseGone })
    },
    async checkRegistry(place, query) {
      const { table } = findDatabases(place.server).registry
      const [row] = await query(`SELECT id, access FROM ${table} WHERE name = ?`, [place.database])
      const error = classifyConnectionError(row && toStatus(row, place.id))
      if (error !== undefined) throw error
    },
  }
}

/** The status that a row of the registry stands for. A database that is being dropped counts as gone. */
function toStatus({ id, access }: Row, expectedId: string): DatabaseStatus | undefined {
  return access === 'dropping' ? undefined : { same: id === expectedId, closed: access === 'closed' }
}
