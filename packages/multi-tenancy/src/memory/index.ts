export { createMemoryFactory } from './factory.ts'
export { createMemoryProvider, createMemoryServer, type MemoryClient, type MemoryServer } from './provider.ts'
