import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Dialect } from '../../src/types/provider.ts'
import { leadingKeyword, leadingWords, locateStatements, splitStatements } from '../../src/util/sql/split.ts'

const DIALECTS: readonly Dialect[] = ['sqlite', 'postgres', 'mysql']

/** Texts, and the statements they must come apart into; `|` ends each. */
const CORPUS: readonly (readonly [
  dialects: readonly Dialect[],
  sql: string,
  statements: readonly string[],
])[] = [
  [DIALECTS, '', []],
  [DIALECTS, ' ;; \r\n;\t', []],
  [DIALECTS, '-- nothing\n/* at all */', []],
  [DIALECTS, 'SELECT 1', ['SELECT 1']],
  [DIALECTS, 'SELECT 1;', ['SELECT 1']],
  [DIALECTS, '\ufeffSELECT 1;\r\nSELECT 2;\r\n', ['SELECT 1', 'SELECT 2']],
  [DIALECTS, "SELECT ';';SELECT 'it''s; ok'", ["SELECT ';'", "SELECT 'it''s; ok'"]],
  [DIALECTS, 'SELECT ";" ; SELECT "a"";"', ['SELECT ";"', 'SELECT "a"";"']],
  [DIALECTS, 'SELECT 1 -- a; b\n, 2; SELECT 3', ['SELECT 1 -- a; b\n, 2', 'SELECT 3']],
  [DIALECTS, 'SELECT 1 -- a; b\r\n, 2; SELECT 3', ['SELECT 1 -- a; b\r\n, 2', 'SELECT 3']],
  [
    DIALECTS,
    '-- it\'s\nSELECT 1; /* don"t; */ SELECT 2; -- end',
    ["-- it's\nSELECT 1", '/* don"t; */ SELECT 2'],
  ],
  [DIALECTS, "SELECT 'open; SELECT 1", ["SELECT 'open; SELECT 1"]],
  [DIALECTS, 'SELECT 1; /* open; SELECT 2', ['SELECT 1']],
  [DIALECTS, 'SELECT 1;%;SELECT 2', ['SELECT 1', '%', 'SELECT 2']],
  [DIALECTS, 'SELECT CASE WHEN 1 THEN 2 END; SELECT 3', ['SELECT CASE WHEN 1 THEN 2 END', 'SELECT 3']],
  [
    DIALECTS,
    'CREATE TABLE a (x INT);CREATE TABLE b (y INT)',
    ['CREATE TABLE a (x INT)', 'CREATE TABLE b (y INT)'],
  ],
  [['sqlite', 'mysql'], 'SELECT `;`; SELECT `a``;`', ['SELECT `;`', 'SELECT `a``;`']],
  [['postgres'], 'SELECT 1 ` 2; SELECT 3', ['SELECT 1 ` 2', 'SELECT 3']],
  [['sqlite'], 'SELECT [a;b]; SELECT 2', ['SELECT [a;b]', 'SELECT 2']],
  [['postgres'], "SELECT a['x;']; SELECT a[1", ["SELECT a['x;']", 'SELECT a[1']],
  [['sqlite', 'postgres'], "SELECT 'a\\'; SELECT 2", ["SELECT 'a\\'", 'SELECT 2']],
  [
    ['mysql'],
    "SELECT 'a\\';'; SELECT \"\\\\\"; SELECT '\\\\\\';'",
    ["SELECT 'a\\';'", 'SELECT "\\\\"', "SELECT '\\\\\\';'"],
  ],
  [['postgres'], "SELECT E'a\\';', e'\\\\'; SELECT 2", ["SELECT E'a\\';', e'\\\\'", 'SELECT 2']],
  [
    ['postgres'],
    "SELECT type'a\\'; SELECT E 'a\\'; SELECT 3",
    ["SELECT type'a\\'", "SELECT E 'a\\'", 'SELECT 3'],
  ],
  [['postgres'], '/* a /* b; */ c; */ SELECT 1; SELECT 2', ['/* a /* b; */ c; */ SELECT 1', 'SELECT 2']],
  [['sqlite', 'mysql'], '/* a /* b; */ SELECT 1; SELECT 2', ['/* a /* b; */ SELECT 1', 'SELECT 2']],
  [['mysql'], 'SELECT 1 # a; b\n; SELECT 2', ['SELECT 1 # a; b', 'SELECT 2']],
  [['postgres'], 'SELECT 1 # 2; SELECT 3', ['SELECT 1 # 2', 'SELECT 3']],
  [['mysql'], 'SELECT 1--2; SELECT 3--', ['SELECT 1--2', 'SELECT 3--']],
  [['mysql'], '/*!40101 SET NAMES utf8 */; SELECT 1', ['/*!40101 SET NAMES utf8 */', 'SELECT 1']],
  [
    ['mysql'],
    '/*M! SELECT 1 */; /* no */; SELECT 2',
    ['/*M! SELECT 1 */', '/* no */', 'SELECT 2'].toSpliced(1, 1),
  ],
  [
    ['postgres'],
    'SELECT $$;$$; SELECT $a$ $$;$b$ $a$; SELECT 3',
    ['SELECT $$;$$', 'SELECT $a$ $$;$b$ $a$', 'SELECT 3'],
  ],
  [['postgres'], 'SELECT $1; SELECT a$b$ ; SELECT c$b$', ['SELECT $1', 'SELECT a$b$', 'SELECT c$b$']],
  [['sqlite', 'mysql'], 'SELECT $$; SELECT $$', ['SELECT $$', 'SELECT $$']],
  [
    ['postgres'],
    'CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b; DELETE FROM c); SELECT 1',
    ['CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b; DELETE FROM c)', 'SELECT 1'],
  ],
  [
    ['postgres'],
    'CREATE OR REPLACE FUNCTION f(begin int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN 1=1 THEN 1 END; SELECT 2; END; SELECT 3',
    [
      'CREATE OR REPLACE FUNCTION f(begin int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN 1=1 THEN 1 END; SELECT 2; END',
      'SELECT 3',
    ],
  ],
  [
    ['sqlite'],
    'CREATE TEMP TRIGGER t UPDATE OF begin ON a WHEN CASE WHEN 1 THEN 1 END BEGIN UPDATE a SET end = new.end; SELECT CASE 1 WHEN 1 THEN 2 END; END; SELECT 1;',
    [
      'CREATE TEMP TRIGGER t UPDATE OF begin ON a WHEN CASE WHEN 1 THEN 1 END BEGIN UPDATE a SET end = new.end; SELECT CASE 1 WHEN 1 THEN 2 END; END',
      'SELECT 1',
    ],
  ],
  [
    ['sqlite'],
    'create trigger if not exists "end" after insert on a begin insert into b values (\'; end;\'); /* ; */ end /* x */;create table trigger_log (begin, [end;])',
    [
      'create trigger if not exists "end" after insert on a begin insert into b values (\'; end;\'); /* ; */ end /* x */',
      'create table trigger_log (begin, [end;])',
    ],
  ],
  [
    ['mysql'],
    'CREATE DEFINER=`a`@`b` PROCEDURE p(IN n INT) BEGIN IF n THEN SELECT 1; END IF; WHILE n DO SET n = n-1; END WHILE; ' +
      'CASE n WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE; SET n = CASE WHEN 1 THEN 2 END; END; SELECT 4',
    [
      'CREATE DEFINER=`a`@`b` PROCEDURE p(IN n INT) BEGIN IF n THEN SELECT 1; END IF; WHILE n DO SET n = n-1; END WHILE; ' +
        'CASE n WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE; SET n = CASE WHEN 1 THEN 2 END; END',
      'SELECT 4',
    ],
  ],
  [
    ['mysql'],
    'CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.begin = 1; CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT NEW.end; END',
    [
      'CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.begin = 1',
      'CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT NEW.end; END',
    ],
  ],
  [
    ['mysql'],
    'CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF NEW.x THEN IF NEW.y THEN SET NEW.x = 1; END IF; SET NEW.z = IF(1, 2, 3); ELSE SET NEW.x = 2; END IF; SELECT 1',
    [
      'CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF NEW.x THEN IF NEW.y THEN SET NEW.x = 1; END IF; SET NEW.z = IF(1, 2, 3); ELSE SET NEW.x = 2; END IF',
      'SELECT 1',
    ],
  ],
  [
    ['mysql'],
    'CREATE PROCEDURE IF NOT EXISTS p() COMMENT "x;" a: LOOP LEAVE a; END LOOP a; CREATE FUNCTION f() RETURNS VARCHAR(9) CHARACTER SET utf8 DETERMINISTIC RETURN IF(1, REPEAT("a", 2), CASE WHEN 1 THEN 2 END); SELECT 1',
    [
      'CREATE PROCEDURE IF NOT EXISTS p() COMMENT "x;" a: LOOP LEAVE a; END LOOP a',
      'CREATE FUNCTION f() RETURNS VARCHAR(9) CHARACTER SET utf8 DETERMINISTIC RETURN IF(1, REPEAT("a", 2), CASE WHEN 1 THEN 2 END)',
      'SELECT 1',
    ],
  ],
  [
    ['mysql'],
    'CREATE PROCEDURE p() CASE 1 WHEN 1 THEN REPEAT SET @a = 1; UNTIL 1 END REPEAT; ELSE BEGIN END; END CASE; CREATE PROCEDURE q() BEGIN FOR i IN 1..2 DO SELECT i; END FOR; b: BEGIN SELECT 1; END b; END; SELECT 1',
    [
      'CREATE PROCEDURE p() CASE 1 WHEN 1 THEN REPEAT SET @a = 1; UNTIL 1 END REPEAT; ELSE BEGIN END; END CASE',
      'CREATE PROCEDURE q() BEGIN FOR i IN 1..2 DO SELECT i; END FOR; b: BEGIN SELECT 1; END b; END',
      'SELECT 1',
    ],
  ],
  [
    ['mysql'],
    "DELIMITER //\nCREATE PROCEDURE p()\nBEGIN\n  SELECT '//'; -- //\n  SELECT 1;\nEND//\nSELECT 2 //\ndelimiter ;\nSELECT 3; SELECT 4",
    [
      "CREATE PROCEDURE p()\nBEGIN\n  SELECT '//'; -- //\n  SELECT 1;\nEND",
      'SELECT 2',
      'SELECT 3',
      'SELECT 4',
    ],
  ],
  [
    ['mysql'],
    'DELIMITER $$\nCREATE PROCEDURE p() BEGIN SELECT `a$$`; END$$\n$$ SELECT 2; $$\nDELIMITER ;\nSELECT 3',
    ['CREATE PROCEDURE p() BEGIN SELECT `a$$`; END', 'SELECT 2', 'SELECT 3'],
  ],
  [
    ['mysql'],
    'DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET @a = 1; END */;;\nDELIMITER ;\n/*!40101 SET @b = 1 */;',
    [
      '/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN SET @a = 1; END */',
      '/*!40101 SET @b = 1 */',
    ],
  ],
  [
    ['mysql'],
    '/*M!999999\\- enable the sandbox mode */ \nSELECT 1;',
    ['/*M!999999\\- enable the sandbox mode */ \nSELECT 1'],
  ],
  [['sqlite', 'postgres'], 'SELECT delimiter; SELECT 2', ['SELECT delimiter', 'SELECT 2']],
  [
    DIALECTS,
    'CREATE TABLE a (x INT);\n--> statement-breakpoint\nCREATE TABLE b (x INT)\n--> statement-breakpoint\nCREATE TABLE c (x INT);--> statement-breakpoint\n',
    ['CREATE TABLE a (x INT)', 'CREATE TABLE b (x INT)', 'CREATE TABLE c (x INT)'],
  ],
  [
    DIALECTS,
    "SELECT '\n--> statement-breakpoint\n'; SELECT 2",
    ["SELECT '\n--> statement-breakpoint\n'", 'SELECT 2'],
  ],
  [
    ['postgres'],
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = a BEGIN ATOMIC SELECT 1; END; DO $do$ BEGIN EXECUTE $x$SELECT ';'$x$; END $do$; SELECT 3",
    [
      'CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = a BEGIN ATOMIC SELECT 1; END',
      "DO $do$ BEGIN EXECUTE $x$SELECT ';'$x$; END $do$",
      'SELECT 3',
    ],
  ],
  [
    ['mysql'],
    'CREATE TABLE event (begin INT, end INT); SELECT 1',
    ['CREATE TABLE event (begin INT, end INT)', 'SELECT 1'],
  ],
]

describe('splitStatements', () => {
  for (const [dialects, sql, statements] of CORPUS) {
    for (const dialect of dialects) {
      it(`${dialect}: ${JSON.stringify(sql).slice(0, 80)}`, () => {
        expect(splitStatements(sql, dialect)).toEqual(statements)
      })
    }
  }

  it('gives SQLite whole triggers', () => {
    const sql = `CREATE TABLE a (x, end); CREATE TABLE log (x);
      CREATE TRIGGER t AFTER INSERT ON a WHEN CASE WHEN NEW.end THEN 0 ELSE 1 END BEGIN
        INSERT INTO log SELECT CASE WHEN NEW.x = ';' THEN 'semicolon' ELSE 'other' END;
        UPDATE a SET end = CASE 1 WHEN 1 THEN 5 END; -- END;
      END;
      INSERT INTO a VALUES (';', NULL)`
    const db = new DatabaseSync(':memory:')
    for (const statement of splitStatements(sql, 'sqlite')) db.prepare(statement).run()
    expect(db.prepare('SELECT log.x AS log, a.end AS mark FROM a, log').all()).toEqual([
      { log: 'semicolon', mark: 5 },
    ])
  })

  const text = fc.string({
    unit: fc.constantFrom(';', "'", '"', '`', '\\', '$', '-', '/', '*', '\n', '#', 'a', ' ', '[', ']', '('),
  })
  const plain: fc.Arbitrary<string> = fc.constantFrom(
    'a',
    'b1',
    ',',
    '+',
    '(x)',
    'CASE',
    'END',
    '42',
    'é',
    'E',
  )
  const piece: Record<Dialect, fc.Arbitrary<string>> = {
    sqlite: fc.oneof(
      plain,
      text.map((t) => `'${t.replaceAll("'", "''")}'`),
      text.map((t) => `"${t.replaceAll('"', '""')}"`),
      text.map((t) => `\`${t.replaceAll('`', '``')}\``),
      text.map((t) => `[${t.replaceAll(']', '')}]`),
      text.map((t) => `/*${t.replaceAll('/', '')}*/`),
      text.map((t) => `--${t.replaceAll('\n', '')}\n`),
    ),
    postgres: fc.oneof(
      plain,
      text.map((t) => `'${t.replaceAll("'", "''")}'`),
      text.map((t) => `E'${t.replaceAll(/['\\]/g, '\\$&')}'`),
      text.map((t) => `"${t.replaceAll('"', '""')}"`),
      text.map((t) => `$tag$${t}$tag$`),
      text.map((t) => `$$${t.replaceAll('$', '')}$$`),
      text.map((t) => `/* /*${t.replaceAll('/', '')}*/ ; */`),
      text.map((t) => `--${t.replaceAll('\n', '')}\n`),
    ),
    mysql: fc.oneof(
      plain,
      text.map((t) => `'${t.replaceAll(/['\\]/g, '\\$&')}'`),
      text.map((t) => `"${t.replaceAll('\\', '').replaceAll('"', '""')}"`),
      text.map((t) => `\`${t.replaceAll('`', '``')}\``),
      text.map((t) => `/* ${t.replaceAll('/', '')}*/`),
      text.map((t) => `#${t.replaceAll('\n', '')}\n`),
      text.map((t) => `-- ${t.replaceAll('\n', '')}\n`),
    ),
  }
  for (const dialect of DIALECTS) {
    it(`${dialect}: splits joined statements into the same statements`, () => {
      const statement = fc
        .array(piece[dialect], { maxLength: 6 })
        .map((pieces) => ['SELECT', ...pieces].join(' ').trim())
      const gap = fc.constantFrom(';', ' ; ', ';\r\n', ';;', '; -- ;\n', '; /* ; */ ;')
      fc.assert(
        fc.property(fc.array(fc.tuple(statement, gap)), statement, (parts, last) => {
          // A line comment at a statement's very end would take the gap with it.
          const sql = parts.map(([part, between]) => `${part}\n${between}`).join('') + last
          const wanted = [...parts.map(([part]) => part), last]
          const bare = (one: string): string => one.replace(/^(-- ;\n|\/\* ; \*\/)\s*/, '').trim()
          expect(splitStatements(sql, dialect).map(bare)).toEqual(wanted)
        }),
        { numRuns: 500 },
      )
    })
  }

  it('never throws, and loses nothing but comments, white space and semicolons', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...';\'"`$[]()/*-#\n aEBEGIND\\!') }),
        fc.constantFrom(...DIALECTS),
        (sql, dialect) => {
          let rest = sql
          for (const statement of splitStatements(sql, dialect)) {
            const at = rest.indexOf(statement)
            expect(at).toBeGreaterThanOrEqual(0)
            expect(splitStatements(rest.slice(0, at), dialect)).toEqual([])
            rest = rest.slice(at + statement.length)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it.each([
    "'",
    "''",
    '"',
    '`',
    '[',
    '/*',
    '/* ',
    '*/',
    '--',
    '-',
    '#',
    '$',
    '$$',
    '$a',
    '$a$',
    '(',
    ')',
    ';',
    '\\',
    "\\'",
    "E'\\",
    'a',
    ' ',
    '\n',
    'BEGIN ',
    'CREATE TRIGGER BEGIN ',
    'END;',
    '/*!',
    '1$',
    'DELIMITER //\n//',
    'delimiter a\naa',
    'CREATE TRIGGER IF END IF ',
    '--> statement-breakpoint\n',
    '\ufeff',
  ])('takes linear time over a repeated %j', (unit) => {
    // A quadratic scan of this much would take a minute.
    const sql = unit.repeat(300_000 / unit.length)
    const start = performance.now()
    for (const dialect of DIALECTS) splitStatements(sql, dialect)
    expect(performance.now() - start).toBeLessThan(10_000)
  })
})

describe('locateStatements', () => {
  it('counts lines from 1, to the first word of each statement', () => {
    const sql = '-- a\n\nSELECT 1;\n/* b\n */ SELECT 2; SELECT\n3;\n\nSELECT 4'
    expect(locateStatements(sql, 'postgres').map(({ line }) => line)).toEqual([3, 5, 5, 8])
  })

  it('counts the lines behind a DELIMITER', () => {
    const sql = 'SELECT 1;\nDELIMITER //\nSELECT 2//\n\nSELECT 3//\nDELIMITER ;\nSELECT 4;'
    expect(locateStatements(sql, 'mysql').map(({ line }) => line)).toEqual([1, 3, 5, 7])
  })
})

describe('leadingKeyword', () => {
  it.each([
    ['attach DATABASE x AS y', 'ATTACH'],
    ['-- hello\n /* there */ ; Attach x', 'ATTACH'],
    ['\ufeff/**/\u000b\fATTACH x', 'ATTACH'],
    ['/* /* */ ATTACH x', 'ATTACH'],
    ['ATTACH/**/x', 'ATTACH'],
    ["ATTACH'x'AS y", 'ATTACH'],
    ['(SELECT 1)', ''],
    ['"ATTACH"', ''],
    ['-- ATTACH', ''],
    ['', ''],
  ])('of %j is %j', (sql, word) => {
    expect(leadingKeyword(sql)).toBe(word)
  })

  it('knows the nested comments of PostgreSQL', () => {
    expect(leadingKeyword('/* /* */ COMMIT; */ SELECT 1', 'postgres')).toBe('SELECT')
    expect(leadingKeyword('/*!50000 COMMIT */', 'mysql')).toBe('COMMIT')
  })

  it('knows where a comment of PostgreSQL ends', () => {
    expect(leadingKeyword('-- x\rCOMMIT', 'postgres')).toBe('COMMIT')
    expect(leadingKeyword('-- x\rCOMMIT\nSELECT 1', 'sqlite')).toBe('SELECT')
  })

  it('is followed by more words', () => {
    expect(leadingWords('; rollback /* TO */ Work -- AND\n to "b"', 4, 'postgres')).toEqual([
      'ROLLBACK',
      'WORK',
      'TO',
    ])
    expect(leadingWords('COMMIT AND CHAIN', 2, 'postgres')).toEqual(['COMMIT', 'AND'])
    expect(leadingWords('COMMIT;', 2)).toEqual(['COMMIT'])
    expect(leadingWords('(SELECT 1)', 2)).toEqual([])
  })

  it('sees what SQLite would run', () => {
    for (const prefix of [';', ' ;; ', '/* */;', '-- x\n', '\u000c', '/*;*/']) {
      const db = new DatabaseSync(':memory:')
      db.prepare(`${prefix}ATTACH ':memory:' AS other`).run()
      expect(db.prepare('PRAGMA database_list').all()).toHaveLength(2)
      expect(leadingKeyword(`${prefix}ATTACH ':memory:' AS other`)).toBe('ATTACH')
    }
  })
})
