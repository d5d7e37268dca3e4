import { execFile } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import {
  createTempFolder,
  isProcessRunning,
  type RunningProcess,
  startHttpServer,
  startNode,
} from '@tenantry/test-support'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import * as wire from '../../src/cloudflare/worker/wire.ts'
import { type CloudflareEmulatorOptions, startCloudflareEmulator } from '../../src/index.ts'
import { helpers } from './support.ts'

const bin = new URL('../../src/bin.ts', import.meta.url)

let directory: string
const started: RunningProcess[] = []

beforeEach(() => {
  directory = createTempFolder('emulators')
  vi.stubEnv('TMPDIR', directory)
})

afterEach(async () => {
  await Promise.all(started.splice(0).map((child) => child.stop()))
  vi.unstubAllEnvs()
})

async function start(options: CloudflareEmulatorOptions = {}) {
  const emulator = await startCloudflareEmulator({ dispatchNamespaces: ['prod'], ...options })
  return { ...emulator, ...helpers(emulator) }
}

function run(script: string | URL, ...args: string[]): RunningProcess {
  const child = startNode(script, args)
  started.push(child)
  return child
}

/** The processes below one, by id: the one that holds workerd, and workerd. */
async function below(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,args='])
  const rows = stdout
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , ...args]) => /workerd|host\.ts/.test(args.join(' ')))
    .map(([id, parent]) => [Number(id), Number(parent)] as const)
  const children = rows.filter(([, parent]) => parent === pid).map(([id]) => id)
  return [...children, ...rows.filter(([, parent]) => children.includes(parent)).map(([id]) => id)]
}

describe('closing', () => {
  test('leaves no process and no file, also when it is called twice', async () => {
    const emulator = await start()
    await emulator.make('one')
    const processes = await below(process.pid)
    expect(processes.length).toBeGreaterThanOrEqual(2)
    await Promise.all([emulator.close(), emulator.close()])
    await emulator.close()
    expect(processes.filter(isProcessRunning)).toEqual([])
    expect(await readdir(directory)).toEqual([])
    await expect(emulator.call('GET', '/d1/database')).rejects.toThrow()
  })

  test('happens when our process is killed', async () => {
    const script = path.join(directory, 'killed.ts')
    const module = new URL('../../src/index.ts', import.meta.url).href
    await writeFile(
      script,
      `import { startCloudflareEmulator } from ${JSON.stringify(module)}
       console.log((await startCloudflareEmulator()).url)`,
    )
    const child = run(script)
    await child.waitForOutput(/\n/)
    const processes = await below(child.pid)
    expect(processes).toHaveLength(2)
    await child.stop()
    const cleared = async () =>
      !processes.some(isProcessRunning) && (await readdir(directory)).join() === 'killed.ts'
    await vi.waitUntil(cleared, { timeout: 15_000 })
  })
})

describe('starting', () => {
  test('fails when the port is taken, and leaves nothing', async () => {
    const server = await startHttpServer(() => {})
    await expect(start({ port: server.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    expect(await readdir(directory)).toEqual([])
    await server.close()
  })

  test('refuses an invalid account id', async () => {
    await expect(start({ accountId: 'me' })).rejects.toThrow(TypeError)
  })
})

test('the Worker and the emulator share types only: what they shared would be a second file of the built Worker', () => {
  expect(Object.keys(wire)).toEqual([])
})

describe('persistence', () => {
  test('databases, their history, scripts and the token are there in the next run', async () => {
    const persistTo = path.join(directory, 'kept')
    const first = await start({ persistTo })
    const uuid = await first.make('kept')
    await first.query(uuid, 'create table t as select 1 as v')
    const received = (await first.call('GET', `/d1/database/${uuid}/time_travel/bookmark`)).body.result
      .bookmark
    await first.query(uuid, 'update t set v = 2')
    const code = `export default { fetch: async (_, env) => Response.json(await env.DB.prepare('select v from t').raw()) }`
    await first.upload('kept', code, { bindings: [{ type: 'd1', name: 'DB', database_id: uuid }] })
    await first.close()

    const second = await start({ persistTo })
    try {
      expect(second.apiToken).toBe(first.apiToken)
      const ask = async () =>
        await (await second.dispatcher('prod').get('kept').fetch('https://x.invalid/')).json()
      expect(await ask()).toEqual([[2]])
      await second.call('POST', `/d1/database/${uuid}/time_travel/restore?bookmark=${received}`)
      expect(await ask()).toEqual([[1]])
    } finally {
      await second.close()
    }
    await expect(start({ persistTo, accountId: 'f'.repeat(32) })).rejects.toThrow(
      /holds the databases of account/,
    )
  })
})

describe('the command', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    'prints its connection settings and ends on %s',
    async (signal) => {
      const child = run(bin, 'd1', '--port', '0', '--token', 'cli-token', '--namespace', 'prod')
      const [output] = await child.waitForOutput(/^(?:.*\n){4}/)
      const printed = Object.fromEntries(
        output
          .trim()
          .split('\n')
          .map((line) => line.trim().split('=')),
      )
      expect(printed.CLOUDFLARE_API_TOKEN).toBe('cli-token')
      const below = `${printed.CLOUDFLARE_API_BASE_URL}/accounts/${printed.CLOUDFLARE_ACCOUNT_ID}`
      const response = await fetch(`${below}/workers/dispatch/namespaces`, {
        headers: { authorization: 'Bearer cli-token' },
      })
      expect(await response.json()).toMatchObject({ result: [{ namespace_name: 'prod' }] })
      expect(await child.stop(signal)).toMatchObject({ code: 0 })
      expect(await readdir(directory)).toEqual([])
    },
  )

  test.each([[['d1', '--port', 'x']], [['d1', '--wat']]])('shows its usage for %j', async (args) => {
    const { code, stderr } = await run(bin, ...args).exited
    expect(code).toBe(1)
    expect(stderr).toContain('tenantry-emulators d1 [--port 8911]')
  })
})
