// pnpm new-provider <name>: copies the in-memory provider into a new package with passing tests.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const [name] = process.argv.slice(2)
if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name ?? ''))
  fail('Usage: pnpm new-provider <name>   (a-z, 0-9 and dashes)')
const target = join(root, 'packages', name)
if (existsSync(target)) fail(`packages/${name} already exists: choose another name or remove the folder.`)

const pascal = name.replace(/(?:^|-)([a-z0-9])/g, (_, letter) => letter.toUpperCase())
const core = join(root, 'packages/multi-tenancy')

mkdirSync(target)
cpSync(join(core, 'template'), target, { recursive: true })
cpSync(join(core, 'src/memory'), join(target, 'src'), { recursive: true })
for (const entry of readdirSync(target, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue
  const file = join(entry.parentPath, entry.name)
  writeFileSync(file, rename(readFileSync(file, 'utf8')))
}
// Sorts and joins the imports that now come from one package.
const { status, error, stderr, stdout } = spawnSync(
  join(root, 'node_modules/.bin/biome'),
  ['check', '--write', target],
  { cwd: root, encoding: 'utf8' },
)
if (status !== 0)
  fail(`packages/${name} is written, but biome cannot format it:\n${error ?? stdout + stderr}`)
console.log(`packages/${name} is ready:

  pnpm install
  pnpm vitest run --project ${name}

Next: docs/writing-a-provider.md lists the files to change, in order.`)

/** Memory → the new name, and the core by its package name instead of its folder. */
function rename(text) {
  return text
    .replace(/'\.\.\/(?!src\/)[a-z/-]+\.ts'/g, "'@tenantry/multi-tenancy/provider'")
    .replaceAll('PROVIDER_NAME', name)
    .replaceAll('Memory', pascal)
    .replaceAll("name: 'memory'", `name: '${name}'`)
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
