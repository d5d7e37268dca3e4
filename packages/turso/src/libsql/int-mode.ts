import type {
  Client,
  Config,
  InStatement,
  ResultSet,
  Row,
  Transaction,
  TransactionMode,
} from '@libsql/client/web'
import { configError } from '@tenantry/multi-tenancy/provider'
import { notifyClosed, onClose } from './close-listeners.ts'

/** How handlers receive integers: libSQL's own option of that name. */
export type IntMode = NonNullable<Config['intMode']>

const INT_MODES: readonly unknown[] = ['number', 'bigint', 'string']

/** @throws `config_invalid` */
export function parseIntMode(intMode: IntMode = 'number'): IntMode {
  if (INT_MODES.includes(intMode)) return intMode
  throw configError('intMode', 'must be number, bigint or string')
}

/**
 * The mode of the driver itself. The core must be able to distinguish integers from texts, so `string` is applied to
 * the results that handlers receive and not to the driver.
 */
export function toDriverIntMode(intMode: IntMode): IntMode {
  return intMode === 'string' ? 'bigint' : intMode
}

const driverClients = new WeakMap<Client, Client>()

/** The client without a conversion of integers to strings: for statements of the core. */
export function getDriverClient(client: Client): Client {
  return driverClients.get(client) ?? client
}

/** The client that handlers receive. `client` has the mode of `toDriverIntMode`. */
export function withIntMode(client: Client, intMode: IntMode): Client {
  if (intMode !== 'string') return client
  const converting: Pick<Client, keyof Client> = {
    ...withStrings(client),
    executeMultiple: (sql) => client.executeMultiple(sql),
    migrate: async (statements) => (await client.migrate(statements)).map(integersToStrings),
    transaction: async (mode: TransactionMode = 'write') =>
      convertTransaction(await client.transaction(mode)),
    sync: () => client.sync(),
    close: () => client.close(),
    reconnect: () => client.reconnect(),
    get closed() {
      return client.closed
    },
    protocol: client.protocol,
  }
  driverClients.set(converting, client)
  return onClose(converting, () => notifyClosed(client))
}

function convertTransaction(transaction: Transaction): Transaction {
  return {
    ...withStrings(transaction),
    executeMultiple: (sql) => transaction.executeMultiple(sql),
    commit: () => transaction.commit(),
    rollback: () => transaction.rollback(),
    close: () => transaction.close(),
    get closed() {
      return transaction.closed
    },
  }
}

/** The two members that return rows. */
function withStrings(target: Pick<Client, 'execute'> & Pick<Client | Transaction, 'batch'>) {
  return {
    execute: async (statement: InStatement, args?: any): Promise<ResultSet> =>
      integersToStrings(await target.execute(statement as string, args)),
    batch: async (...parameters: Parameters<Client['batch']>): Promise<ResultSet[]> =>
      (await (target.batch as Client['batch'])(...parameters)).map(integersToStrings),
  }
}

/** The rows are built again, because the driver's are read-only. */
function integersToStrings(result: ResultSet): ResultSet {
  const rows = result.rows.map((row) => convertRow(row, result.columns))
  return Object.assign(Object.create(Object.getPrototypeOf(result)), result, { rows })
}

/** A row as the driver builds it: values by index, and by the first column of each name. */
function convertRow(row: Row, columns: readonly string[]): Row {
  const converted = Object.defineProperty({}, 'length', { value: row.length })
  for (const [index, column] of columns.entries()) {
    const original = row[index]
    const value = typeof original === 'bigint' ? String(original) : original
    Object.defineProperty(converted, index, { value })
    if (Object.hasOwn(converted, column)) continue
    Object.defineProperty(converted, column, { value, enumerable: true, configurable: true, writable: true })
  }
  return converted as Row
}
