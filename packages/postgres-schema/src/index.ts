export type { ConnectionOptions, ServeOptions } from './connection-options.ts'
export { createPostgresSchemaFactory, type PostgresSchemaFactoryOptions } from './factory.ts'
export { postgresKysely } from './kysely.ts'
export type {
  Isolation,
  Pooler,
  PostgresSchemaProviderOptions,
  ServerOptions,
} from './options.ts'
export { createPostgresSchemaProvider } from './provider.ts'
