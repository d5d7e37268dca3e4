import { existsSync, globSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = new URL('../../../', import.meta.url).pathname

/**
 * Links every package of the repository and its dependencies, as an app's installation does. So the README of a new
 * package compiles without an edit of e2e/package.json.
 */
export function linkPackages(nodeModules: string): void {
  for (const manifest of globSync('packages/*/package.json', { cwd: root })) {
    const folder = join(root, dirname(manifest))
    const { name, peerDependencies, devDependencies } = JSON.parse(readFileSync(join(root, manifest), 'utf8'))
    link(folder, join(nodeModules, name))
    for (const dependency of Object.keys({ ...peerDependencies, ...devDependencies }))
      link(join(folder, 'node_modules', dependency), join(nodeModules, dependency))
  }
}

function link(target: string, path: string): void {
  if (existsSync(path) || !existsSync(target)) return
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(target, path)
}
