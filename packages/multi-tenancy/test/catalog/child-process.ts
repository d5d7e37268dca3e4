import { type Address, connect, getDialect } from './test-databases.ts'
import { createStores, tenantRecord } from './test-stores.ts'

// A child process: sends `ready`, opens the catalog at the first message, and inserts a tenant.
const address = JSON.parse(process.argv[2] ?? '') as Address
const id = process.argv[3] ?? ''
const db = connect(address)
const { tenants } = createStores(db, getDialect(address))
process.send?.('ready')
process.once('message', () => {
  tenants
    .insert(tenantRecord(id))
    .then(
      () => process.send?.('done'),
      (error: unknown) => process.send?.(String((error as Error).cause ?? error)),
    )
    .finally(() => db.destroy())
    .finally(() => process.disconnect())
})
