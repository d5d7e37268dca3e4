export { libsqlKysely } from '../kysely.ts'
export { createLibsqlFactory, type LibsqlFactoryOptions } from './factory.ts'
export { createLibsqlFileProvider, type LibsqlFileProviderOptions } from './provider.ts'
