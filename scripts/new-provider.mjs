// pnpm new-provider <name>: a package of its own from the in-memory provider, with its tests, that passes at once.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'

const root = new URL('../', import.meta.url)
const [name] = process.argv.slice(2)
if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name ?? ''))
  fail('Usage: pnpm new-provider <name>   (a-z, 0-9 and dashes)')
const target = new URL(`packages/${name}/`, root)
if (existsSync(target)) fail(`packages/${name} is there already.`)

const pascal = name.replace(/(?:^|-)([a-z0-9])/g, (_, letter) => letter.toUpperCase())
const template = new URL('packages/multi-tenancy/template/', root)
const source = new URL('packages/multi-tenancy/src/memory/', root)

mkdirSync(target, { recursive: true })
cpSync(template, target, { recursive: true })
cpSync(source, new URL('src/', target), { recursive: true })
for (const path of readdirSync(target, { recursive: true, withFileTypes: true })) {
  if (!path.isFile()) continue
  const file = `${path.parentPath}/${path.name}`
  writeFileSync(file, rename(readFileSync(file, 'utf8')))
}
console.log(`packages/${name} is ready:

  pnpm install
  pnpm vitest run --project ${name}

docs/writing-a-provider.md says what to change, in which order.`)

/** Memory → the new name, and the core by its package name instead of its folder. */
function rename(text) {
  return text
    .replace(
      /'\.\.\/(?:contract|database-factory|errors|factory\/[a-z-]+)\.ts'/g,
      "'@tenantry/multi-tenancy'",
    )
    .replaceAll('__name__', name)
    .replaceAll('Memory', pascal)
    .replaceAll("name: 'memory'", `name: '${name}'`)
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
