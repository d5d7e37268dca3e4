#!/usr/bin/env node
import { type Command, UsageError } from './commands/command.ts'
import { d1Command } from './commands/d1.ts'
import { tursoCommand } from './commands/turso.ts'

/** Each emulated service is one command. */
const commands: readonly Command[] = [d1Command, tursoCommand]

const usage = ['Usage:', ...commands.map(({ usage }) => `  tenantry-emulators ${usage}`)].join('\n')

async function main([name, ...args]: readonly string[]): Promise<void> {
  if (name === '--help' || name === '-h') {
    console.log(usage)
    return
  }
  const command = commands.find((candidate) => candidate.name === name)
  if (command === undefined)
    throw new UsageError(name === undefined ? 'which emulator?' : `no emulator: ${name}`)
  const stopping = new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
  const running = await command.start(args)
  console.log(running.lines.join('\n'))
  await stopping
  await running.close()
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  if (error instanceof UsageError) console.error(usage)
  process.exitCode = 1
})
