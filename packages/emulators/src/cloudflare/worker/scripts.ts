import type { WireScript } from './wire.ts'

/** A binding that loads Workers at run time. */
export interface Loader {
  get(id: string, load: () => Promise<unknown>): { getEntrypoint(): ScriptEntry }
}

/** A Worker that answers requests. */
export interface ScriptEntry {
  fetch(request: Request): Promise<Response>
}

/** The parts that a script is loaded from. */
export interface ScriptOptions {
  /** Names the script and its version: another upload is another Worker. */
  readonly id: string
  readonly loader: Loader
  /** Any D1 database. */
  readonly seed: object
  load(): Promise<WireScript>
  /** The service that a D1 binding calls. */
  getStorage(uuid: string): unknown
}

const entryModule = 'tenantry-emulator-entry.js'

/**
 * The module in front of a script's own. A database binding cannot be passed to a Worker that is loaded at run
 * time, but the service it calls can. So the binding is built again here, from the class of a binding that is passed along.
 */
const entry = `import * as script from %MAIN%
const bind = ({ $seed, $databases, ...env }) => {
  for (const [name, storage] of Object.entries($databases)) env[name] = new $seed.constructor(storage)
  return env
}
const handler = script.default
export default typeof handler === 'function'
  ? class extends handler { constructor(ctx, env) { super(ctx, bind(env)) } }
  : { fetch: (request, env, ctx) => handler.fetch(request, bind(env), ctx) }
`

/** The running Worker of a script. */
export function loadScript({ id, loader, seed, load, getStorage }: ScriptOptions): ScriptEntry {
  const worker = loader.get(id, async () => {
    const { mainModule, modules, env, databases, compatibilityDate, compatibilityFlags } = await load()
    const storages = Object.entries(databases).map(([name, uuid]) => [name, getStorage(uuid)])
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
