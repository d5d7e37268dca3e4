export { createTursoFactory, type TursoFactoryOptions } from './factory.ts'
export { libsqlKysely } from './kysely.ts'
export type { TursoProviderOptions } from './options.ts'
export { createTursoProvider } from './provider.ts'
