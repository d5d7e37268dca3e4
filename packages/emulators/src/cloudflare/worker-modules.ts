import { readFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { fileURLToPath } from 'node:url'

/** A module as Miniflare takes it. */
export interface WorkerModule {
  readonly type: 'ESModule'
  readonly path: string
  readonly contents: string
}

const sources = ['main', 'database', 'dump', 'history', 'scripts', 'snapshot', 'statement']

/** The emulator's Worker: the built file, and in this repository its sources without their types. */
export function workerModules(): WorkerModule[] {
  const read = (file: string): string => readFileSync(fileURLToPath(new URL(file, import.meta.url)), 'utf8')
  if (!import.meta.url.endsWith('.ts')) {
    return [{ type: 'ESModule', path: 'main.js', contents: read('./cloudflare-worker.js') }]
  }
  return sources.map((name) => ({
    type: 'ESModule',
    path: `${name}.ts`,
    contents: nodeModule.stripTypeScriptTypes(read(`./worker/${name}.ts`)),
  }))
}
