export { createMemoryFactory } from './factory.ts'
export { createMemoryProvider, createMemoryServer, type MemoryClient, type MemoryServer } from './provider.ts'
export { openSqlite } from './sqlite.ts'
