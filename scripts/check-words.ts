// Checks the words of code, documentation and changesets against the list in words.ts:
//   pnpm words [--count] [file or folder …]
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { argv, cwd } from 'node:process'
import { fileURLToPath } from 'node:url'
import { EXCEPTIONS, OF_NAMES, SKIPPED, VAGUE_NAMES, WORDS, type WordException } from './words.ts'

/** One use of an out-word. */
export interface WordHit {
  readonly line: number
  readonly word: string
  readonly use: string
}

const root = fileURLToPath(new URL('../', import.meta.url))
const CODE = /\.(?:ts|mjs|js|jsonc)$/
const CHECKED = /(?:\.(?:ts|mjs|js|jsonc|md)|package\.json)$/
/** Stands for a character of the other kind: no word and no white space. */
const MASK = '\0'
/** White space between two words, across the marks of a comment's next line. */
const GAP = '[\\s*/>]+'

const textRules = WORDS.filter((rule) => rule.only !== 'names').map((rule) => {
  const source = (rule.pattern ?? rule.word).replaceAll(' ', GAP)
  const isWord = /^\w/.test(rule.pattern?.replace(/^\(\?[:<!=]+/, '') ?? rule.word)
  return { ...rule, pattern: new RegExp(isWord ? `(?<![\\w-])(?:${source})(?![\\w-])` : source, 'gi') }
})
/** One expression that finds any of the rules, so that most of the text is read once. */
const anyRule = new RegExp(textRules.map(({ pattern }) => `(?:${pattern.source})`).join('|'), 'gi')
const nameRules = new Map(
  WORDS.filter((rule) => rule.only !== 'text').flatMap((rule) =>
    (rule.names ?? [rule.word]).map((name) => [name, rule] as const),
  ),
)

/** The out-words of one file, in order. `used` collects the exceptions that applied. */
export function findWords(
  path: string,
  source: string,
  exceptions: readonly WordException[] = EXCEPTIONS,
  used: Set<WordException> = new Set(),
): WordHit[] {
  const text = withoutExceptions(path, source, exceptions, used)
  const hits: { at: number; word: string; use: string }[] = []
  const parts = path.endsWith('.md')
    ? splitMarkdown(text)
    : CODE.test(path)
      ? splitCode(text)
      : { text, code: '' }
  for (const { index } of parts.text.matchAll(anyRule)) {
    for (const rule of textRules) {
      rule.pattern.lastIndex = index
      const match = rule.pattern.exec(parts.text)
      if (match?.index !== index) continue
      hits.push({ at: index, word: match[0].replace(new RegExp(GAP, 'g'), ' '), use: rule.use })
      break
    }
  }
  for (const hit of findNames(parts.code)) hits.push(hit)
  const lines = lineStarts(text)
  return hits
    .sort((a, b) => a.at - b.at)
    .map(({ at, word, use }) => ({ line: lineNumber(lines, at), word, use }))
}

/** The out-words in names. Each name counts once in a file. */
function* findNames(code: string): Generator<{ at: number; word: string; use: string }> {
  const reported = new Set<string>()
  for (const { 0: name, index } of code.matchAll(/[A-Za-z_$][\w$]*/g)) {
    if (reported.has(name)) continue
    for (const part of name.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g) ?? []) {
      const rule = nameRules.get(part.toLowerCase())
      if (rule === undefined) continue
      reported.add(name)
      yield { at: index, word: name, use: rule.use }
      break
    }
  }
  const declared =
    /(?:\bfunction\*?\s+|\b(?:const|let)\s+)([a-z]\w*Of)\b|^\s*(?:async\s+)?([a-z]\w*Of)(?=\([^)]*\)\s*(?::|\{))/gm
  for (const match of code.matchAll(declared)) {
    const name = match[1] ?? match[2] ?? ''
    if (reported.has(name) || OF_NAMES.has(name)) continue
    reported.add(name)
    yield { at: match.index + match[0].length - name.length, word: name, use: 'verb + noun' }
  }
  for (const match of code.matchAll(/\b(?:const|let)\s+(\w+)(?=\s*[=:;\n])/g)) {
    const use = Object.hasOwn(VAGUE_NAMES, match[1] ?? '') ? VAGUE_NAMES[match[1] ?? ''] : undefined
    if (use !== undefined) yield { at: match.index + match[0].length, word: match[1] ?? '', use }
  }
}

/** The text with the allowed passages masked, so that positions stay the same. */
function withoutExceptions(
  path: string,
  text: string,
  exceptions: readonly WordException[],
  used: Set<WordException>,
): string {
  let result = text
  for (const exception of exceptions) {
    if (exception.path !== undefined && !path.startsWith(exception.path)) continue
    if (!result.includes(exception.text)) continue
    used.add(exception)
    result = result.replaceAll(exception.text, exception.text.replace(/\S/g, MASK))
  }
  return result
}

/** Prose in one copy of the text, code in another; what belongs to the other copy is masked. */
interface Split {
  readonly text: string
  readonly code: string
}

/** Markdown is prose except its fenced blocks, which are split as code where they are. */
function splitMarkdown(source: string): Split {
  let text = ''
  let code = ''
  for (const part of source.split(/(^```[\s\S]*?^```[^\S\n]*$)/m)) {
    const split = /^```(?:ts|js|typescript|jsonc)\b/.test(part)
      ? splitCode(part)
      : { text: part, code: mask(part) }
    text += split.text
    code += split.code
  }
  return { text, code }
}

const CODE_TEXT = 0
const PROSE = 1
/** A regular expression: it may have to name any word. */
const PATTERN = 2

/** Comments and the contents of strings are prose; the rest is code. */
function splitCode(source: string): Split {
  const kinds = new Uint8Array(source.length)
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`|[{}]|(?<=[=(,:[!&|?{};]\s*|return\s+)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g
  /** For each open template literal, how many braces are open inside its current `${`. */
  const templates: number[] = []
  for (let match = token.exec(source); match !== null; match = token.exec(source)) {
    const [lexeme] = match
    if (lexeme === '{' && templates.length > 0) templates.push((templates.pop() ?? 0) + 1)
    else if (lexeme === '}' && templates.length > 0) {
      const open = (templates.pop() ?? 0) - 1
      if (open > 0) templates.push(open)
      else token.lastIndex = readTemplate(token.lastIndex)
    } else if (lexeme === '`') token.lastIndex = readTemplate(token.lastIndex)
    else if (lexeme.startsWith('//') || lexeme.startsWith('/*'))
      kinds.fill(PROSE, match.index, token.lastIndex)
    else if (/^['"]/.test(lexeme)) kinds.fill(PROSE, match.index + 1, token.lastIndex - 1)
    else if (lexeme.length > 1) kinds.fill(PATTERN, match.index, token.lastIndex)
  }
  let text = ''
  let code = ''
  for (let at = 0; at < source.length; at += 1) {
    const character = source[at] ?? ''
    const isSpace = character === ' ' || character === '\n'
    text += kinds[at] === PROSE || isSpace ? character : MASK
    code += kinds[at] === CODE_TEXT || isSpace ? character : MASK
  }
  return { text, code }

  /** Marks the text of a template literal up to its end or its next `${`, and returns the position behind. */
  function readTemplate(from: number): number {
    let at = from
    while (at < source.length && source[at] !== '`') {
      if (source[at] === '\\') at += 1
      else if (source[at] === '$' && source[at + 1] === '{') {
        kinds.fill(PROSE, from, at)
        templates.push(1)
        return at + 2
      }
      at += 1
    }
    kinds.fill(PROSE, from, at)
    return at + 1
  }
}

function mask(text: string): string {
  return text.replace(/[^\s]/g, MASK)
}

function lineStarts(text: string): number[] {
  return [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)]
}

function lineNumber(starts: readonly number[], at: number): number {
  let low = 0
  let high = starts.length
  while (low + 1 < high) {
    const middle = (low + high) >> 1
    if ((starts[middle] ?? 0) <= at) low = middle
    else high = middle
  }
  return low + 1
}

/** The files under version control, or about to be, that the check reads. */
function listFiles(paths: readonly string[]): string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z', '--', ...paths], {
    cwd: root,
    encoding: 'utf8',
  })
  return [...new Set(listed.split('\0'))]
    .filter((file) => CHECKED.test(file) && !SKIPPED.some((skipped) => file.startsWith(skipped)))
    .filter((file) => existsSync(resolve(root, file)) && statSync(resolve(root, file)).isFile())
}

/** The hits below some files and folders, as they are printed. */
export function listHits(paths: readonly string[]): string[] {
  return listFiles(paths).flatMap((file) =>
    findWords(file, readFileSync(resolve(root, file), 'utf8')).map((hit) => printHit(file, hit)),
  )
}

function printHit(file: string, { line, word, use }: WordHit): string {
  return `${file}:${line}: ${word} — use ${use}`
}

/** `packages/turso/src`, `docs`, …: where a count is kept. */
function areaName(file: string): string {
  const parts = file.split('/')
  if (parts[0] === 'packages') return parts.slice(0, parts.length > 3 ? 3 : 2).join('/')
  return parts.length > 1
    ? parts.slice(0, parts[0] === 'examples' && parts.length > 2 ? 2 : 1).join('/')
    : '.'
}

function main(args: readonly string[]): number {
  const paths = args
    .filter((arg) => !arg.startsWith('--'))
    .map((path) => relative(root, resolve(cwd(), path)) || '.')
  const used = new Set<WordException>()
  const counts = new Map<string, number>()
  let total = 0
  for (const file of listFiles(paths)) {
    const hits = findWords(file, readFileSync(resolve(root, file), 'utf8'), EXCEPTIONS, used)
    total += hits.length
    if (hits.length > 0) counts.set(areaName(file), (counts.get(areaName(file)) ?? 0) + hits.length)
    if (args.includes('--count')) continue
    for (const hit of hits) console.log(printHit(file, hit))
  }
  const unused = paths.length > 0 ? [] : EXCEPTIONS.filter((exception) => !used.has(exception))
  for (const { text } of unused)
    console.log(`scripts/words.ts: the exception "${text}" matches nothing: remove it`)
  if (args.includes('--count')) {
    for (const [area, count] of [...counts].sort(([, a], [, b]) => b - a)) console.log(`${count}\t${area}`)
  }
  if (total > 0) console.log(`${total} hits; the list is scripts/words.ts`)
  return total > 0 || unused.length > 0 ? 1 : 0
}

if (argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(argv.slice(2))
