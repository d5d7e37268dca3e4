export { createTursoFactory, type TursoFactoryOptions } from './factory.ts'
export { libsqlKysely } from './kysely.ts'
export { createTursoProvider, type TursoProviderOptions } from './provider.ts'
