import { spawnSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findWords, listHits } from '../../scripts/check-words.ts'

const root = new URL('../../', import.meta.url).pathname

function words(path: string, text: string): string[] {
  return findWords(path, text, []).map(({ line, word }) => `${line}: ${word}`)
}

describe('the check of words', () => {
  test('finds an out-word in comments, strings and templates of code, with its line', () => {
    const source = [
      "const message = 'Nobody answers'",
      '// A tenant that was made.',
      '/** Fails',
      ' * at',
      ' * once. */',
      `const title = \`\${count} tenants are told \${\`of \${what} things\`} anew\``,
    ].join('\n')
    expect(words('a.ts', source)).toEqual([
      '1: Nobody',
      '2: made',
      '4: at once',
      '6: told',
      '6: things',
      '6: anew',
    ])
  })

  test('reads only prose for words, and only code for names', () => {
    expect(words('a.ts', 'const pattern = /made/\nconst isShut = 1\nisShut\nconst text = "isShut"')).toEqual([
      '2: isShut',
    ])
    expect(words('a.ts', 'const x = "a // b"; shutDoor()')).toEqual(['1: shutDoor'])
  })

  test('finds functions named after a value with "Of", except the language\'s own', () => {
    const source =
      'function keyOf() {}\nconst placeOf = () => 1\nlist.indexOf(typeof x)\n  valueOf() {\n  stateOf() {\n'
    expect(words('a.ts', source)).toEqual(['1: keyOf', '2: placeOf', '5: stateOf'])
  })

  test('finds participles and pronouns that stand for a noun where they are declared', () => {
    expect(words('a.ts', 'const found = 1\nlet said: string\nconst { found } = x\n// it was found')).toEqual([
      '1: found',
      '2: said',
    ])
  })

  test('checks Markdown as prose and its fenced blocks as code', () => {
    const page =
      '# Told\n\nIt is no name, but there is no tenant and it is no longer there.\n\n```ts\nconst shut = made // mended\n```\n'
    expect(words('a.md', page)).toEqual(['1: Told', '3: is no', '6: shut', '6: made', '6: mended'])
  })

  test('accepts a question, a shutdown, a curly mark in code, and words that only contain an out-word', () => {
    expect(words('a.md', 'What is a tenant? Shut down. A foretold remedy, unmade.\n')).toEqual(['1: unmade'])
    expect(words('a.ts', 'const pattern = /[‘’]/')).toEqual([])
    expect(words('a.md', 'the tenant’s database')).toEqual(['1: ’'])
  })

  test('accepts the text of an exception where the exception applies', () => {
    const exception = { text: 'made of people', because: 'a quotation', path: 'docs/' }
    const used = new Set<typeof exception>()
    expect(findWords('docs/a.md', 'made of people, made', [exception], used)).toHaveLength(1)
    expect(findWords('src/a.md', 'made of people', [exception], used)).toHaveLength(1)
    expect([...used]).toEqual([exception])
  })

  test('prints the hits and fails, or prints nothing', () => {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, ['scripts/check-words.ts', ...args], { cwd: root, encoding: 'utf8' })
    expect(run('LICENSE')).toMatchObject({ status: 0, stdout: '', stderr: '' })
    const file = join(root, 'e2e/.words.md')
    writeFileSync(file, 'It is made\nanew.\n')
    try {
      expect(run('e2e/.words.md')).toMatchObject({
        status: 1,
        stdout:
          'e2e/.words.md:1: made — use "created", "built"\ne2e/.words.md:2: anew — use "again", or "recreated"\n' +
          '2 hits; the list is scripts/words.ts\n',
      })
      expect(run('--count', 'e2e/.words.md')).toMatchObject({
        status: 1,
        stdout: '2\te2e\n2 hits; the list is scripts/words.ts\n',
      })
    } finally {
      rmSync(file)
    }
  })

  test('finds nothing in the repository', () => {
    expect(listHits([])).toEqual([])
  })
})
