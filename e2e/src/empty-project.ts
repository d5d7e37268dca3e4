import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = new URL('../../', import.meta.url).pathname

/** A project of a user's, outside the repository. */
export interface EmptyProject {
  readonly path: string
  /** The names of all packages in node_modules, nested ones too. */
  installed(): string[]
  write(file: string, text: string): void
  /** What the compiler says of the project; of its libraries, too, unless they are skipped. */
  typecheck(options?: { skipLibCheck?: boolean }): string
  remove(): void
}

/** Creates a folder with a package.json and installs into it with npm, without the packages' scripts. */
export function createProject(dependencies: readonly string[]): EmptyProject {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'tenantry-project-')))
  const write = (file: string, text: string) => writeFileSync(join(path, file), text)
  write('package.json', '{ "name": "project", "private": true, "type": "module" }')
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  // Without pnpm's variables, as in a user's shell.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:npm|pnpm)_/i.test(name))
  try {
    execFileSync('npm', ['install', ...flags, ...dependencies], {
      cwd: path,
      encoding: 'utf8',
      stdio: 'pipe',
      env: Object.fromEntries(inherited),
    })
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    rmSync(path, { recursive: true, force: true })
    throw new Error(`npm install ${dependencies.join(' ')}\n${stdout ?? ''}${stderr ?? ''}`)
  }
  return {
    path,
    installed: () => packagesIn(join(path, 'node_modules')),
    write,
    typecheck({ skipLibCheck = false } = {}) {
      const compilerOptions = { ...OPTIONS, skipLibCheck }
      write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['*.ts'] }))
      try {
        execFileSync(join(root, 'e2e/node_modules/.bin/tsc'), ['--pretty', 'false'], {
          cwd: path,
          stdio: 'pipe',
        })
        return ''
      } catch (error) {
        const { stdout, message } = error as { stdout?: Buffer; message: string }
        return stdout?.toString() || message
      }
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}

/** As strict as TypeScript gets, and no declaration file is taken on trust. */
const OPTIONS = {
  target: 'es2023',
  lib: ['es2024', 'dom', 'dom.iterable', 'dom.asynciterable'],
  module: 'nodenext',
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  allowImportingTsExtensions: true,
  types: ['node'],
}

function packagesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.') || !entry.isDirectory()) return []
    const here = join(folder, entry.name)
    if (entry.name.startsWith('@')) {
      return readdirSync(here).flatMap((name) => [`${entry.name}/${name}`, ...nestedIn(join(here, name))])
    }
    return [entry.name, ...nestedIn(here)]
  })
}

function nestedIn(folder: string): string[] {
  return readdirSync(folder).includes('node_modules') ? packagesIn(join(folder, 'node_modules')) : []
}
