import { connect } from 'node:net'
import { createMysqlFactory } from '../src/index.ts'
import { byStatement } from './by-statement.ts'
import { FIVE } from './five.ts'

/** A process of its own that migrates one tenant through a relay, and is killed by its parent. */
const { connection, registry, prefix, secret, id } = JSON.parse(process.env.TENANTRY_CHILD ?? '')
const { hostname, port, username: user } = new URL(connection)
const stream = () => byStatement(connect(Number(port), hostname).setNoDelay(true))
const factory = createMysqlFactory({
  connection: { user, stream },
  registry,
  secret,
  databasePrefix: prefix,
  migrations: FIVE,
})
await factory.migrate(id).then(
  () => console.log('done'),
  (error: unknown) => console.log(`failed ${error}`),
)
await factory.close()
