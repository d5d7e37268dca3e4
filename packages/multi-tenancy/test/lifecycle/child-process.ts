import { createCatalog } from '../../src/catalog.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { type Address, connect, getDialect } from '../catalog/test-databases.ts'
import { createFileProvider } from './file-provider.ts'

/** The calls of a child process. */
export interface Orders {
  readonly catalog: Address
  readonly folder: string
  /** The concurrent calls of each round; a message starts a round. */
  readonly rounds: readonly (readonly (readonly ['provision' | 'deprovision', string])[])[]
}

const { catalog, folder, rounds } = JSON.parse(process.argv[2] ?? '') as Orders
const db = connect(catalog)
const factory = defineFactory(createFileProvider(folder), {
  databasePrefix: 'tenant_',
  migrations: { '0001_notes': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL)' },
  catalog: createCatalog({ db, dialect: getDialect(catalog) }),
})

async function call(action: 'provision' | 'deprovision', id: string): Promise<string> {
  try {
    const record = await factory.lifecycle?.[action](id)
    return `${record?.uid} ${record?.generation} ${record?.name} ${record?.state}`
  } catch (error) {
    return `failed: ${(error as { code?: string }).code} ${error}`
  }
}

process.on('message', (round) => {
  const calls = rounds[Number(round)] ?? []
  void Promise.all(calls.map(([action, id]) => call(action, id))).then((results) =>
    process.send?.(JSON.stringify(results)),
  )
})
process.send?.('ready')
