import { parseArgs } from 'node:util'
import { startCloudflareEmulator } from '../cloudflare/emulator.ts'
import { type Command, UsageError } from './command.ts'

const defaultPort = 8911

/** `tenantry-emulators d1`: Cloudflare's D1 REST API and dispatch namespaces on a port of 127.0.0.1. */
export const d1Command: Command = {
  name: 'd1',
  usage: `d1 [--port ${defaultPort}] [--persist DIR] [--account ID] [--token TOKEN] [--namespace NAME]…`,
  start: async (args) => {
    const { namespace, ...options } = readOptions(args)
    const emulator = await startCloudflareEmulator({ ...options, dispatchNamespaces: namespace })
    return {
      lines: [
        'Cloudflare emulator, ready. Ctrl-C ends it.',
        `  CLOUDFLARE_API_BASE_URL=${emulator.baseUrl}`,
        `  CLOUDFLARE_ACCOUNT_ID=${emulator.accountId}`,
        `  CLOUDFLARE_API_TOKEN=${emulator.apiToken}`,
      ],
      close: emulator.close,
    }
  },
}

interface Options {
  readonly port: number
  readonly persistTo: string | undefined
  readonly accountId: string | undefined
  readonly apiToken: string | undefined
  readonly namespace: readonly string[]
}

function readOptions(args: readonly string[]): Options {
  const text = { type: 'string' } as const
  const options = { port: text, persist: text, account: text, token: text }
  let values: { port?: string; persist?: string; account?: string; token?: string; namespace?: string[] }
  try {
    const namespace = { ...text, multiple: true } as const
    values = parseArgs({ args: [...args], options: { ...options, namespace } }).values
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause })
  }
  const port = Number(values.port ?? defaultPort)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new UsageError(`not a port: ${values.port}`)
  const { persist: persistTo, account: accountId, token: apiToken, namespace = [] } = values
  return { port, persistTo, accountId, apiToken, namespace }
}
