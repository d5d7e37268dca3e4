import type { TestProject } from 'vitest/node'
import { findServer } from './server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    mysqlUrl: string
  }
}

/** One server for all files. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await findServer()
  project.provide('mysqlUrl', server.url)
  return server.stop
}
