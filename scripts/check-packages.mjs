// Every package has the same few files, scripts and README headings; nothing tracked names a machine.
//   pnpm exec node scripts/check-packages.mjs [package folder …]
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'

const root = new URL('../', import.meta.url)
const CORE = '@tenantry/multi-tenancy'
const FILES = [
  'README.md',
  'package.json',
  'src/index.ts',
  'tsconfig.json',
  'tsdown.config.ts',
  'vitest.config.ts',
]
const PROVIDER_FILES = ['src/factory.ts', 'src/provider.ts', 'src/errors.ts', 'test/conformance.test.ts']
const FIELDS = {
  license: 'MIT',
  type: 'module',
  sideEffects: false,
  engines: { node: '>=22' },
  files: ['dist', 'README.md'],
  scripts: { build: 'tsdown', typecheck: 'tsc -p tsconfig.json' },
}
const HEADINGS = ['What it is', 'Install']
const CORE_HEADINGS = [
  'What it is', 'Install', 'Quick start', 'The way of a request', 'Options', 'Errors', 'Caching', 'Migrations',
  'Writing tests', 'Limits', 'Versions tested',
] // biome-ignore format: one list
const PROVIDER_HEADINGS = [
  'What it is', 'What it isolates', 'Install', 'Quick start', 'Options', 'Errors', 'Limits of the service',
  'Local development', 'Versions tested',
] // biome-ignore format: one list
const NODE_MODULES = /node_modules/
const MACHINE = [
  [
    /registry[.](?:npmjs|yarnpkg|npmmirror)[.]|\b(?:artifactory|verdaccio)[.]|localhost:487[3]/i,
    'a registry host',
  ],
  [
    /(?:^|[\s"'`(=:])\/(?:root|home\/\w+|Users\/\w+|work|mnt|var\/folders)\/|\b[A-Z]:\\Users\\/m,
    'a path of one machine',
  ],
]

const problems = []
const chosen = process.argv.slice(2)
const all = readdirSync(new URL('packages/', root)).filter((name) => exists(`packages/${name}/package.json`))
for (const name of chosen.length > 0 ? chosen : all) checkPackage(`packages/${name}`, name)
if (chosen.length === 0) checkTrackedFiles()
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1

function checkPackage(folder, name) {
  const report = (problem) => problems.push(`${folder}: ${problem}`)
  const manifest = JSON.parse(read(`${folder}/package.json`))
  const isCore = manifest.name === CORE
  const isProvider = manifest.devDependencies?.['@tenantry/conformance'] !== undefined
  for (const file of [...FILES, ...(isProvider ? PROVIDER_FILES : [])]) {
    if (!exists(`${folder}/${file}`)) report(`${file} is missing`)
  }
  if (manifest.name !== `@tenantry/${name}`) report(`package.json is named ${manifest.name}`)
  for (const [field, wanted] of Object.entries(FIELDS)) {
    if (!isDeepStrictEqual(manifest[field], wanted))
      report(`package.json: ${field} is not ${JSON.stringify(wanted)}`)
  }
  if (!manifest.description) report('package.json: description is missing')
  checkExports(manifest, report)
  if (isProvider) {
    const { dependencies, peerDependencies, optionalDependencies } = manifest
    const ours = Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies }).filter(
      (dependency) => dependency.startsWith('@tenantry/'),
    )
    if (ours.join() !== CORE)
      report(
        `package.json: a provider may depend on no package of this repository except ${CORE}; found ${ours}`,
      )
    if (peerDependencies?.[CORE] === undefined) report(`package.json: ${CORE} is not a peer dependency`)
  }
  if (exists(`${folder}/README.md`)) {
    const [title, ...headings] = readHeadings(read(`${folder}/README.md`))
    if (title !== `# ${manifest.name}`) report(`README.md does not start with # ${manifest.name}`)
    const wanted = isCore ? CORE_HEADINGS : isProvider ? PROVIDER_HEADINGS : HEADINGS
    const titles = headings.filter((heading) => heading.startsWith('## ')).map((heading) => heading.slice(3))
    const missing = wanted.filter((heading) => !titles.includes(heading))
    if (missing.length > 0)
      report(`README.md lacks ${missing.map((heading) => `"## ${heading}"`).join(', ')}`)
    else if (titles.filter((heading) => wanted.includes(heading)).join() !== wanted.join()) {
      report(`README.md has its headings in another order than ${wanted.join(', ')}`)
    }
  }
}

/** What the workspace imports from src/, users import from dist/, types first. */
function checkExports({ exports = {}, publishConfig = {} }, report) {
  const published = publishConfig.exports ?? {}
  if (Object.keys(exports).join() !== Object.keys(published).join()) {
    report('package.json: exports and publishConfig.exports have different entries')
  }
  for (const [entry, file] of Object.entries(exports)) {
    if (!/^\.\/src\/[\w/-]+\.ts$/.test(file))
      report(`package.json: exports["${entry}"] is not a file of src/`)
  }
  for (const [entry, conditions] of Object.entries(published)) {
    const files = Object.entries(conditions)
      .map(([condition, file]) => `${condition} ${file}`)
      .join()
    if (!/^types \.\/dist\/([\w/-]+)\.d\.ts,default \.\/dist\/\1\.js$/.test(files)) {
      report(`publishConfig.exports["${entry}"] is not types and default of one file of dist/`)
    }
  }
  if (publishConfig.access !== 'public') report('package.json: publishConfig.access is not "public"')
}

function checkTrackedFiles() {
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0')
  for (const file of files.filter((file) => file !== '' && exists(file))) {
    if (NODE_MODULES.test(file)) problems.push(`${file} is tracked`)
    const text = read(file)
    for (const [pattern, what] of MACHINE) {
      const match = pattern.exec(text)
      if (match === null) continue
      const line = text.slice(0, match.index + 1).split('\n').length
      problems.push(`${file}:${line} names ${what}: ${match[0].trim()}`)
    }
  }
}

/** The headings outside code. */
function readHeadings(markdown) {
  return markdown.replace(/^```[\s\S]*?^```/gm, '').match(/^#{1,2} .*$/gm) ?? []
}

function read(path) {
  return readFileSync(new URL(path, root), 'utf8')
}

function exists(path) {
  return existsSync(new URL(path, root))
}
