import type { Dialect } from '../../types/provider.ts'
import type { SqlToken } from './tokens.ts'

/** Follows one statement, to find the `;` that do not end it: those in parentheses and in the bodies of routines. */
export interface BlockTracker {
  read(token: SqlToken): void
  isOpen(): boolean
}

const ROUTINE = /^(?:TRIGGER|PROCEDURE|FUNCTION|EVENT|PACKAGE)$/
const NO_ROUTINE = /^(?:TABLE|VIEW|INDEX|DATABASE|SCHEMA)$/
/** Blocks that end with `END` and their own word. */
const COMPOUND = /^(?:IF|LOOP|WHILE|REPEAT|FOR)$/
/** Words that begin a body of one simple statement, except behind `BEFORE`, `AFTER`, `OR` and `CHARACTER`. */
const SIMPLE_BODY = /^(?:CALL|DELETE|INSERT|REPLACE|RETURN|SELECT|SET|UPDATE|WITH)$/
const BEFORE_EVENT = /^(?:BEFORE|AFTER|OF|OR|CHARACTER)$/

export function createBlockTracker(dialect: Dialect): BlockTracker {
  // Undefined until the words behind CREATE show whether a body may follow.
  let routine: boolean | undefined
  let first = true
  let previous = ''
  let parens = 0
  const body = dialect === 'sqlite' ? createTriggerBody() : createRoutineBody(dialect)

  return {
    isOpen: () => parens > 0 || body.isOpen(),
    read({ kind, text }) {
      const word = kind === 'word' ? text.toUpperCase() : text
      if (word === '(') parens++
      else if (word === ')') parens = Math.max(0, parens - 1)
      else if (first) routine = /^(?:CREATE|ALTER)$/.test(word) ? undefined : false
      else if (routine === undefined) {
        if (ROUTINE.test(word)) routine = true
        else if (NO_ROUTINE.test(word)) routine = false
      }
      // `NEW.end` is a column.
      else if (routine && parens === 0 && previous !== '.') body.read(word, previous)
      first = false
      previous = word
    },
  }
}

interface Body {
  read(word: string, previous: string): void
  isOpen(): boolean
}

/** As sqlite3_complete does: a trigger ends with `;END`. Any other END is the name of a column, or the end of a CASE. */
function createTriggerBody(): Body {
  let open = false
  return {
    isOpen: () => open,
    read(word, previous) {
      if (word === 'BEGIN') open = true
      else if (word === 'END' && previous === ';') open = false
    },
  }
}

/**
 * The body of a routine in MySQL, and of a function in PostgreSQL, where it is `BEGIN ATOMIC`. Only `BEGIN` and
 * `CASE` are counted, and the outermost block: `END IF` and the like end uncounted blocks, except those of its kind.
 */
function createRoutineBody(dialect: Dialect): Body {
  const opens = (word: string, previous: string): boolean =>
    word === 'BEGIN' ||
    (dialect === 'mysql' && (word === 'CASE' || (COMPOUND.test(word) && opensBody(word, previous))))
  let depth = 0
  let outermost = ''
  let simple = false
  return {
    isOpen: () => depth > 0,
    read(word, previous) {
      if (outermost === '') {
        if (dialect === 'mysql' && SIMPLE_BODY.test(word)) simple ||= !BEFORE_EVENT.test(previous)
        else if (!simple && opens(word, previous)) {
          depth = 1
          outermost = word
        }
      } else if (word === 'END') depth = Math.max(0, depth - 1)
      else if (COMPOUND.test(word)) {
        if (previous === 'END') depth += word === outermost ? 0 : 1
        else if (word === outermost && /^(?:;|:|THEN|ELSE|DO|LOOP|REPEAT|BEGIN)$/.test(previous)) depth++
      } else if (depth > 0 && (word === 'BEGIN' || (word === 'CASE' && previous !== 'END'))) depth++
    },
  }
}

/** `IF` is also a part of `IF EXISTS`, and `FOR` of `FOR EACH ROW`. */
function opensBody(word: string, previous: string): boolean {
  if (word === 'IF') return !/^(?:PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE|BODY)$/.test(previous)
  return word !== 'FOR' || /^(?:DO|:|\)|ROW|SQL|DATA|DETERMINISTIC|DEFINER|INVOKER)$/.test(previous)
}
