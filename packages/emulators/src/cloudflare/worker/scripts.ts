import type { WireScript } from './wire.ts'

/** A binding that makes Workers at run time. */
export interface Loader {
  get(id: string, load: () => Promise<unknown>): { getEntrypoint(): ScriptEntry }
}

/** A Worker that answers requests. */
export interface ScriptEntry {
  fetch(request: Request): Promise<Response>
}

/** What a script is made from. */
export interface ScriptOptions {
  /** Names the script and its version: another upload is another Worker. */
  readonly id: string
  readonly loader: Loader
  /** Any D1 database. */
  readonly seed: object
  load(): Promise<WireScript>
  /** What a D1 binding talks to. */
  storageOf(uuid: string): unknown
}

const entryModule = 'tenantry-emulator-entry.js'

/**
 * The module in front of a script's own. A database cannot be given to a Worker made at run time, but what it talks
 * to can; so here the binding is put together again, from the class of a binding that came along.
 */
const entry = `import * as script from %MAIN%
const bind = ({ $seed, $databases, ...env }) => {
  for (const [name, storage] of Object.entries($databases)) env[name] = new $seed.constructor(storage)
  return env
}
const given = script.default
export default typeof given === 'function'
  ? class extends given { constructor(ctx, env) { super(ctx, bind(env)) } }
  : { fetch: (request, env, ctx) => given.fetch(request, bind(env), ctx) }
`

/** The running Worker of a script. */
export function loadScript({ id, loader, seed, load, storageOf }: ScriptOptions): ScriptEntry {
  const worker = loader.get(id, async () => {
    const { mainModule, modules, env, databases, compatibilityDate, compatibilityFlags } = await load()
    const storages = Object.entries(databases).map(([name, uuid]) => [name, storageOf(uuid)])
    return {
      compatibilityDate,
      compatibilityFlags,
      mainModule: entryModule,
      modules: {
        ...modules,
        [entryModule]: { js: entry.replace('%MAIN%', () => JSON.stringify(`./${mainModule}`)) },
      },
      env: { ...env, $seed: seed, $databases: Object.fromEntries(storages) },
    }
  })
  return worker.getEntrypoint()
}
