import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const root = new URL('../../', import.meta.url).pathname

/** A copy of the checkout outside it, so that a script may change any file. */
export interface CheckoutCopy {
  readonly path: string
  /** Links the dependencies of a new package of the copy, as an installation would. */
  install(packageFolder: string): void
  remove(): void
}

/** Copies the tracked files and the new ones that are not ignored. Installed binaries are linked. */
export function copyCheckout(): CheckoutCopy {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'tenantry-copy-')))
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
  })
  for (const file of listed.split('\0').filter((file) => file !== '' && existsSync(join(root, file)))) {
    cpSync(join(root, file), join(path, file), { recursive: true })
  }
  for (const installed of globSync(['node_modules', '{packages,examples}/*/node_modules', '*/node_modules'], {
    cwd: root,
  }))
    symlinkSync(join(root, installed), join(path, installed))
  return {
    path,
    install(packageFolder) {
      const folder = join(path, packageFolder)
      const text = readFileSync(join(folder, 'package.json'), 'utf8')
      const { peerDependencies = {}, devDependencies = {}, dependencies = {} } = JSON.parse(text)
      for (const name of Object.keys({ ...peerDependencies, ...devDependencies, ...dependencies })) {
        const link = join(folder, 'node_modules', name)
        mkdirSync(dirname(link), { recursive: true })
        symlinkSync(realpathSync(join(root, 'e2e/node_modules', name)), link)
      }
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}
