import { parseArgs } from 'node:util'
import { startTursoEmulator } from '../turso/emulator.ts'
import { type Command, UsageError } from './command.ts'

const defaultPort = 8910

/** `tenantry-emulators turso`: the Turso Platform API on a port of 127.0.0.1. */
export const tursoCommand: Command = {
  name: 'turso',
  usage: `turso [--port ${defaultPort}] [--persist DIR] [--organization NAME] [--token TOKEN]`,
  start: async (args) => {
    const { port, persist, organization, token } = readOptions(args)
    const emulator = await startTursoEmulator({ port, persistTo: persist, organization, apiToken: token })
    return {
      lines: [
        'Turso emulator, ready. Ctrl-C ends it.',
        `  url           ${emulator.url}`,
        `  organization  ${emulator.organization}`,
        `  token         ${emulator.apiToken}`,
      ],
      close: emulator.close,
    }
  },
}

interface Options {
  readonly port: number
  readonly persist: string | undefined
  readonly organization: string | undefined
  readonly token: string | undefined
}

function readOptions(args: readonly string[]): Options {
  const text = { type: 'string' } as const
  let values: { port?: string; persist?: string; organization?: string; token?: string }
  try {
    const options = { port: text, persist: text, organization: text, token: text }
    values = parseArgs({ args: [...args], options }).values
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause })
  }
  const port = Number(values.port ?? defaultPort)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new UsageError(`not a port: ${values.port}`)
  const { persist, organization, token } = values
  return { port, persist, organization, token }
}
