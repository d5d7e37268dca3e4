export { libsqlKysely } from '../kysely.ts'
export { createLibsqlFactory, type LibsqlFactoryOptions } from './factory.ts'
export type { LibsqlFileProviderOptions } from './options.ts'
export { createLibsqlFileProvider } from './provider.ts'
