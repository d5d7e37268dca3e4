export { createPostgresSchemaFactory, type PostgresSchemaFactoryOptions } from './factory.ts'
export { postgresKysely } from './kysely.ts'
export type {
  ConnectionOptions,
  Isolation,
  Pooler,
  PostgresSchemaProviderOptions,
  ServeOptions,
  ServerOptions,
} from './options.ts'
export { createPostgresSchemaProvider } from './provider.ts'
