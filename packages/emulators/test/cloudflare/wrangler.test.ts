import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { promisify } from 'node:util'
import { createTempFolder } from '@tenantry/test-support'
import { expect, test } from 'vitest'
import { emulatorForTests } from './support.ts'

const emulator = await emulatorForTests()
const directory = createTempFolder('wrangler')
const require = createRequire(import.meta.url)
const manifest = require.resolve('wrangler/package.json')
const bin = path.join(path.dirname(manifest), 'bin', 'wrangler.js')

/** Runs wrangler with nothing but the API's base pointed at the emulator. */
async function wrangler(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [bin, ...args], {
    cwd: directory,
    env: {
      ...{ PATH: process.env.PATH, HOME: directory, CI: 'true', NO_COLOR: '1' },
      ...{
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_HIDE_BANNER: 'true',
        CLOUDFLARE_CF_FETCH_ENABLED: 'false',
      },
      CLOUDFLARE_API_BASE_URL: emulator.baseUrl,
      CLOUDFLARE_ACCOUNT_ID: emulator.accountId,
      CLOUDFLARE_API_TOKEN: emulator.apiToken,
    },
  })
  return stdout
}

/** The JSON at the end of the output. */
function json(printed: string): any {
  return JSON.parse(printed.slice(printed.search(/^[[{]/m)))
}

test("wrangler's own d1 commands work: create, list, info, execute, export, time travel, delete", async () => {
  expect(await wrangler('d1', 'create', 'by-wrangler')).toContain('Successfully created DB')
  const [{ uuid }] = json(await wrangler('d1', 'list', '--json'))
  expect(emulator.oracle.databases()).toMatchObject([{ name: 'by-wrangler', uuid }])
  expect(json(await wrangler('d1', 'info', 'by-wrangler', '--json'))).toMatchObject({ uuid, num_tables: 0 })

  const execute = ['d1', 'execute', 'by-wrangler', '--remote', '--yes', '--json']
  await wrangler(...execute, '--command', "create table t (a); insert into t values ('x')")
  expect(json(await wrangler(...execute, '--command', 'select a from t'))[0].results).toEqual([{ a: 'x' }])
  await writeFile(path.join(directory, 'more.sql'), "insert into t values ('from a file');\n")
  expect(json(await wrangler(...execute, '--file', 'more.sql'))[0].results[0]).toMatchObject({
    'Total queries executed': 1,
  })

  await wrangler('d1', 'export', 'by-wrangler', '--remote', '--output', 'out.sql', '--skip-confirmation')
  const exported = await readFile(path.join(directory, 'out.sql'), 'utf8')
  expect(exported).toContain(`INSERT INTO "t" ("a") VALUES('from a file');`)

  const { bookmark } = json(await wrangler('d1', 'time-travel', 'info', 'by-wrangler', '--json'))
  await emulator.oracle.execute('by-wrangler', 'delete from t')
  await wrangler('d1', 'time-travel', 'restore', 'by-wrangler', '--bookmark', bookmark, '--json')
  expect(await emulator.oracle.execute('by-wrangler', 'select count(*) as n from t')).toEqual([{ n: 2 }])

  await expect(wrangler('d1', 'create', 'by-wrangler')).rejects.toThrow(/already exists/)
  await wrangler('d1', 'delete', 'by-wrangler', '--skip-confirmation')
  expect(emulator.oracle.databases()).toEqual([])
  expect(emulator.requests.filter(({ status }) => status === 501)).toEqual([])
}, 120_000)
