// Stops a script with one clear message when the installation failed before it (pnpm itself only warns).
// Runs on any Node version and needs no dependency.
import { readFileSync } from 'node:fs'

const root = new URL('../', import.meta.url)
const [major] = process.versions.node.split('.').map(Number)

function read(path) {
  try {
    return readFileSync(new URL(path, root), 'utf8')
  } catch {
    return undefined
  }
}

const wanted = read('pnpm-lock.yaml')
const installed = read('node_modules/.pnpm/lock.yaml')
if (installed === undefined || packages(installed) !== packages(wanted)) {
  stop(
    'The installation is not complete; its error is printed above. Fix its cause (network? disk?) and run the command again.',
  )
}
if (major < 22) stop(`Node ${process.versions.node} is too old: Tenantry needs Node 22 or later.`)

/** The part of the lock file that an installation for one platform must match. */
function packages(lock) {
  return /^packages:$[\s\S]*?(?=^snapshots:$)/m.exec(lock ?? '')?.[0]
}

function stop(message) {
  console.error(`\n${message}`)
  process.exit(1)
}
