// The process that workerd is a child of. It ends when its own parent does, however that went, and takes workerd and
// the temporary files along: workerd does not end by itself.
import { rm } from 'node:fs/promises'
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare'
import type { FromHost, ToHost } from './host-messages.ts'
import { workerModules } from './worker-modules.ts'

/** Scripts of the emulator's own run by the rules of this day. */
const compatibilityDate = '2026-04-01'

const pendingScripts = new Map<number, (script: unknown) => void>()
let questions = 0
let stop: () => Promise<void> = async () => {}
let temporary: string | undefined

function send(message: FromHost): void {
  process.send?.(message)
}

function ask(id: string): Promise<unknown> {
  questions += 1
  const question = questions
  return new Promise((resolve) => {
    pendingScripts.set(question, resolve)
    send({ kind: 'script', question, id })
  })
}

async function start(message: Extract<ToHost, { kind: 'start' }>): Promise<void> {
  temporary = message.temporary
  const miniflare = new Miniflare({
    ...convertV4MiniflareOptions({
      name: 'tenantry-cloudflare',
      modules: workerModules(),
      compatibilityDate,
      durableObjects: {
        DATABASES: { className: 'Database', useSQLite: true },
        HISTORY: { className: 'History', useSQLite: true },
      },
      d1Databases: { SEED: 'seed' },
      workerLoaders: { LOADER: {} },
      bindings: { SECRET: message.secret },
      serviceBindings: {
        HOST: async (request: { url: string }) =>
          Response.json(await ask(decodeURIComponent(new URL(request.url).pathname.slice(1)))) as never,
      },
      host: '127.0.0.1',
      port: 0,
      cf: false,
      log: new Log(LogLevel.NONE),
    }),
    resourcePersistencePath: message.directory,
  })
  stop = () => miniflare.dispose()
  const url = await miniflare.ready
  send({ kind: 'ready', port: Number(url.port) })
}

async function end(): Promise<void> {
  await stop().catch(() => {})
  if (temporary !== undefined) await rm(temporary, { recursive: true, force: true })
  process.exit(0)
}

process.on('message', (message: ToHost) => {
  if (message.kind === 'script') {
    pendingScripts.get(message.question)?.(message.script)
    pendingScripts.delete(message.question)
  } else {
    start(message).catch((error: unknown) =>
      send({ kind: 'failed', problem: error instanceof Error ? error.message : String(error) }),
    )
  }
})
process.on('disconnect', () => void end())
// A terminal sends these to the whole group; the parent decides when this process ends.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
