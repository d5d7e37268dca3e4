import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** Package name → path of its tarball, as it would be published. */
    tarballs: Record<string, string>
  }
}

const root = new URL('../../', import.meta.url).pathname

/** Builds every published package (turbo remembers) and packs it, so that the tests use the published files. */
export default function buildAndPack(project: TestProject): () => void {
  const options = {
    cwd: root,
    stdio: 'pipe' as const,
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
  }
  run(join(root, 'node_modules/.bin/turbo'), ['run', 'build', '--output-logs=errors-only'], options)
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-pack-'))
  const tarballs: Record<string, string> = {}
  for (const directory of readdirSync(join(root, 'packages'))) {
    const path = join(root, 'packages', directory)
    const { name } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { name: string }
    const file = join(folder, `${directory}.tgz`)
    run(pnpm(), ['pack', '--out', file], { ...options, cwd: path })
    tarballs[name] = file
  }
  project.provide('tarballs', tarballs)
  return () => rmSync(folder, { recursive: true, force: true })
}

/** The pnpm that runs this script. */
function pnpm(): string {
  const path = process.env.npm_execpath
  if (path === undefined) throw new Error('Run the tests through pnpm: its own file is needed to pack')
  return path
}

function run(
  command: string,
  args: string[],
  options: { cwd: string; stdio: 'pipe'; env: NodeJS.ProcessEnv },
): void {
  try {
    execFileSync(command, args, options)
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer }
    throw new Error(`${command} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}`)
  }
}
