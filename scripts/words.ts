/** One entry of the word list: what is out, and the plainer wording. */
export interface WordRule {
  readonly word: string
  readonly use: string
  /** Where the rule applies; both by default. Text is prose, comments and strings. */
  readonly only?: 'text' | 'names'
  /** In text, a regular expression in place of the word; ` ` stands for any white space and comment marks. */
  readonly pattern?: string
  /** In names, the words of a name (split at capitals) that the rule refuses, in place of the word. */
  readonly names?: readonly string[]
}

/** A real term, a quotation or another project's name that contains an out-word. */
export interface WordException {
  /** The literal text around the word. Every occurrence of it is allowed. */
  readonly text: string
  readonly because: string
  /** Only in this file, or in the files below this folder. */
  readonly path?: string
}

/** The words that are out, by section 6 of the review and "Plain technical English" of the conventions. */
export const WORDS: readonly WordRule[] = [
  { word: 'anew', use: '"again", or "recreated"' },
  { word: 'afresh', use: '"again", or "recreated"' },
  {
    word: 'whoever',
    use: 'the subject: the caller, process, tenant or server',
    pattern: 'who(?:m)?(?:so)?ever',
  },
  { word: 'nobody', use: 'the subject: "no caller", "no process", "no tenant"' },
  { word: 'somebody', use: 'the subject: "another caller", "another process"' },
  { word: 'anybody', use: 'the subject: "any caller", "any tenant"' },
  { word: 'everybody', use: 'the subject: "every caller", "all tenants"' },
  { word: 'whatever', use: 'the noun, or "any", "all"' },
  { word: 'shut', use: '"closed", "close"', pattern: 'shut(?:s|ting)?(?! down)', names: ['shut', 'shuts'] },
  { word: 'told', use: '"receives", "is notified", "reports"', pattern: '(?:re)?told' },
  {
    word: 'tells',
    use: '"reports", "returns", "notifies"',
    pattern: 'tell(?:s|ing)?',
    names: ['tell', 'tells'],
  },
  { word: 'for ever', use: '"permanently", "without limit"', names: ['ever'] },
  { word: 'at once', use: '"immediately", or "concurrently"', pattern: 'at once', only: 'text' },
  { word: 'mend', use: '"fix", "repair"', pattern: 'mend(?:s|ed|ing)?', names: ['mend', 'mends', 'mended'] },
  { word: 'made', use: '"created", "built"', pattern: '(?:un|re)?made' },
  { word: 'makes', use: '"creates", "builds", "turns into"' },
  { word: 'making', use: '"creating", "building"' },
  { word: 'thing', use: 'the noun', pattern: 'things?', names: ['thing', 'things'] },
  {
    word: 'is no X',
    use: '"is not a X", "is not a valid X", "does not have"',
    only: 'text',
    pattern:
      '(?<!there )(?:is|are|was|were|be|been) no(?! (?:longer|more|less|fewer|later|earlier|larger|smaller|shorter)\\b|[-–`:])',
  },
  {
    word: 'behind … back',
    use: '"in the background", "without the caller\'s knowledge"',
    only: 'text',
    pattern: 'behind (?:\\S+ ){1,2}back',
  },
  { word: 'as good as', use: 'the plain verb: "counts as", "is treated as"', only: 'text' },
  { word: 'thought dead', use: '"presumed dead", or "its lease has expired"', only: 'text' },
  {
    word: 'what is',
    use: 'the noun: "the tables that exist", "the options"',
    only: 'text',
    // A question may begin so: "What is a tenant?"
    pattern: '(?:what|What) (?:is|are|was|were)(?![^.\\n]{0,80}\\?)',
  },
  { word: 'whose is', use: 'the owner by name', only: 'text', pattern: 'whose (?:is|are|it|they)' },
  {
    word: 'by who',
    use: 'the subject: "the caller", "the process"',
    only: 'text',
    pattern: '(?:by|for|of|to|with|from|than|that) who',
  },
  { word: 'looks', use: '"reads", "checks"', only: 'text', pattern: '(?:looks(?! like)|look(?:ed|ing)? at)' },
  {
    word: 'otherwise than',
    use: '"differently from", "except"',
    only: 'text',
    pattern: '(?:otherwise|elsewhere|else) than',
  },
  { word: 'nought', use: '"zero", "nothing"', pattern: 'nought|naught' },
  { word: 'of its own accord', use: '"by itself"', only: 'text', pattern: 'of (?:its|their) own accord' },
  { word: 'curly apostrophe', use: 'a straight \' or "', only: 'text', pattern: '[‘’“”]' },
  // Metaphors that the review replaces (section 3).
  {
    word: 'world',
    use: '"test environment"',
    pattern: '(?<!hello,? )(?<!real )worlds?',
    names: ['world', 'worlds'],
  },
  { word: 'ladder', use: '"access methods"', pattern: 'ladders?', names: ['ladder'] },
  { word: 'rung', use: '"access method"', pattern: 'rungs?', names: ['rung', 'rungs'] },
  { word: 'insist', use: '"retry"', pattern: 'insists?', names: ['insist', 'insists'] },
  { word: 'paper', use: '"buffer"', only: 'names', names: ['paper'] },
  { word: 'farewell', use: 'the noun: "reset before the change of user"', names: ['farewell'] },
  {
    word: 'patience',
    use: '"deadline", "wait limit", "busy retry"',
    pattern: 'patien(?:ce|t|tly)',
    names: ['patience', 'patiently'],
  },
  {
    word: 'stranger',
    use: '"other tenant", "unknown user"',
    pattern: 'strangers?',
    names: ['stranger', 'strangers'],
  },
  { word: 'settle', use: '"complete", "confirm", "resolve"', only: 'names', names: ['settle', 'settles'] },
  {
    word: 'judge',
    use: '"decide", "classify", "check"',
    pattern: 'judg(?:e|es|ed|ing)',
    names: ['judge', 'judged'],
  },
]

/** Names that say nothing alone: a participle or pronoun in place of a noun, where it is declared. */
export const VAGUE_NAMES: Readonly<Record<string, string>> = {
  asked: 'a noun: "request", "requests", "queried"',
  found: 'a noun: "database", "row", "match"',
  given: 'a noun: "options", "value"',
  held: 'a noun: "lease", "lock"',
  kept: 'a noun: "remaining", "stored"',
  mine: 'a noun: "ownLease", "ours" with its noun',
  said: 'a noun: "message"',
  there: 'a noun: "exists", "existing"',
}

/** Functions named after a value with `Of`: the language's own and those of other projects. */
export const OF_NAMES: ReadonlySet<string> = new Set([
  'indexOf',
  'instanceOf',
  'lastIndexOf',
  'valueOf',
  'isPrototypeOf',
  'getPrototypeOf',
  'setPrototypeOf',
])

/** An exception that matches nothing is an error, so the list stays true. */
export const EXCEPTIONS: readonly WordException[] = []

/** Files that must contain the words. */
export const SKIPPED: readonly string[] = ['scripts/words.ts', 'e2e/test/check-words.test.ts']
