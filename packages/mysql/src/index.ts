export { createMysqlFactory, type MysqlFactoryOptions } from './factory.ts'
export { mysqlKysely } from './kysely.ts'
export type { ConnectionOptions, Isolation, MysqlProviderOptions, ServerOptions } from './options.ts'
export { createMysqlProvider } from './provider.ts'
