import type { D1Database } from '../src/index.ts'

type Operations<Database> = Readonly<Record<string, (db: Database) => Promise<unknown>>>

/**
 * Operations on a database with the table `notes` and two rows. They cover what Cloudflare's own suites check (workerd's
 * `src/cloudflare/internal/test/d1` and miniflare's `test/plugins/d1`). The expected outcome is a binding's.
 */
export const OPERATIONS: Operations<Pick<D1Database, 'prepare' | 'batch'>> = {
  'all() returns rows': (db) => db.prepare('SELECT * FROM notes ORDER BY id').all(),
  'all() returns no rows': (db) => db.prepare('SELECT * FROM notes WHERE id > 9').all(),
  'all() binds values': (db) =>
    db.prepare('SELECT * FROM notes WHERE id = ? OR body = ?').bind(1, 'two').all(),
  'run() inserts': (db) => db.prepare('INSERT INTO notes (body) VALUES (?)').bind('three').run(),
  'run() updates': (db) => db.prepare("UPDATE notes SET body = 'x'").run(),
  'run() returns the rows of RETURNING': (db) =>
    db.prepare("INSERT INTO notes (body) VALUES ('r') RETURNING id, body").run(),
  'first() returns the first row': (db) => db.prepare('SELECT * FROM notes ORDER BY id').first(),
  'first() returns one column': (db) => db.prepare('SELECT * FROM notes ORDER BY id').first('body'),
  'first() rejects an unknown column': (db) => db.prepare('SELECT * FROM notes').first('nothing'),
  'first() of a column returns null without a row': (db) =>
    db.prepare('SELECT * FROM notes WHERE id > 9').first('body'),
  'first() returns null without a row': (db) => db.prepare('SELECT * FROM notes WHERE id > 9').first(),
  'raw() returns lists': (db) => db.prepare('SELECT id, body FROM notes ORDER BY id').raw(),
  'raw() returns column names, also repeated ones': (db) =>
    db.prepare('SELECT id, id AS id, body FROM notes').raw({ columnNames: true }),
  'raw() returns column names without rows': (db) =>
    db.prepare('SELECT id FROM notes WHERE 0').raw({ columnNames: true }),
  'batch() returns a result for each statement': (db) =>
    db.batch([
      db.prepare('INSERT INTO notes (body) VALUES (?)').bind('b'),
      db.prepare('SELECT count(*) AS n FROM notes'),
    ]),
  'batch() undoes all when one statement fails': async (db) => {
    const failing = [
      db.prepare("INSERT INTO notes (body) VALUES ('lost')"),
      db.prepare("INSERT INTO notes (id, body) VALUES (1, 'again')"),
    ]
    const error = await db.batch(failing).catch(({ message }: Error) => message)
    return [error, await db.prepare('SELECT count(*) AS n FROM notes').first('n')]
  },
  'batch() rejects an empty list': (db) => db.batch([]),
  'values of every type are bound': (db) =>
    db
      .prepare('SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, ? AS f, typeof(?) AS g')
      .bind('it\'s "?"', -1.5, null, true, new Uint8Array([0, 1, 255]), new ArrayBuffer(2), 7)
      .all(),
  'a list of bytes is bound': (db) => db.prepare('SELECT hex(?) AS h').bind([0, 255]).first('h'),
  'bytes are stored in a column': async (db) => {
    await db.prepare('CREATE TABLE files (data BLOB)').run()
    await db
      .prepare('INSERT INTO files VALUES (?)')
      .bind(new Uint8Array([1, 2, 3]))
      .run()
    return db.prepare('SELECT typeof(data) AS t, data FROM files').all()
  },
  'undefined is rejected': async (db) => db.prepare('SELECT ?').bind(undefined).all(),
  'a bigint is rejected': async (db) => db.prepare('SELECT ?').bind(1n).all(),
  'an object is rejected': async (db) => db.prepare('SELECT ?').bind({}).all(),
  'too few values are rejected': (db) => db.prepare('SELECT ?, ?').bind(1).all(),
  'a syntax error is reported': (db) => db.prepare('SELEKT 1').all(),
  'an unknown table is reported': (db) => db.prepare('SELECT * FROM nothing').run(),
  'a violated constraint is reported': (db) =>
    db.prepare("INSERT INTO notes (id, body) VALUES (1, 'again')").run(),
  'ATTACH is rejected': (db) => db.prepare("ATTACH 'x' AS y").all(),
  'a trigger in lower case with CRLF is created': async (db) => {
    await db
      .prepare('create trigger t after insert on notes begin\r\n update notes set body = new.body;\r\nend')
      .run()
    await db.prepare("INSERT INTO notes (body) VALUES ('t')").run()
    return db.prepare('SELECT DISTINCT body FROM notes').raw()
  },
  'several statements return the rows of the last': (db) =>
    db.prepare('SELECT 1 AS a; SELECT 2 AS b, 3 AS c;').all(),
  'several statements: first() reads the last': (db) => db.prepare('SELECT 1 AS a; SELECT 2 AS b').first(),
  'several statements: raw() reads the last': (db) =>
    db.prepare('SELECT 1 AS a; SELECT 2 AS b').raw({ columnNames: true }),
  'several statements count all changes': (db) =>
    db.prepare("INSERT INTO notes (body) VALUES ('x'); INSERT INTO notes (body) VALUES ('y'), ('z')").run(),
  'several statements bind values to the last': (db) =>
    db
      .prepare('SELECT 1 AS a; SELECT ? AS b, hex(?2) AS c')
      .bind('x', new Uint8Array([1, 255]))
      .all(),
  'several statements: values for an earlier one are rejected': (db) =>
    db.prepare('SELECT ? AS a; SELECT ? AS b').bind(1, 2).all(),
  'several statements are undone together': async (db) => {
    const failing = db.prepare("INSERT INTO notes (body) VALUES ('x'); INSERT INTO nothing VALUES (1)")
    const error = await failing.run().catch(({ message }: Error) => message)
    return [error, await db.prepare('SELECT count(*) AS n FROM notes').first('n')]
  },
  'several statements in a batch are one': (db) =>
    db.batch([db.prepare('SELECT 1 AS a; SELECT 2 AS b'), db.prepare('SELECT 3 AS c')]),
  'several statements with a trigger': async (db) => {
    const body = 'begin update notes set body = new.body; end'
    await db
      .prepare(`create trigger t after insert on notes ${body}; INSERT INTO notes (body) VALUES ('t; u')`)
      .run()
    return db.prepare('SELECT DISTINCT body FROM notes').raw()
  },
  'a syntax error in the second of several statements is reported': (db) =>
    db.prepare('SELECT 1; SELEKT 2').all(),
  'an empty statement is rejected': (db) => db.prepare(' \n').all(),
  'an empty statement is rejected by raw()': (db) => db.prepare('').raw(),
  'an empty statement in a batch is skipped': (db) => db.batch([db.prepare(''), db.prepare('SELECT 1 AS a')]),
  'a comment alone is rejected': (db) => db.prepare('-- a comment').all(),
  'a block comment alone is rejected': (db) => db.prepare('/* a comment */').all(),
  'a semicolon alone is rejected': (db) => db.prepare(';').all(),
  'a comment after the last semicolon is rejected': (db) => db.prepare('SELECT 1 AS a; -- a comment').all(),
  'a comment inside a statement is allowed': (db) => db.prepare('SELECT 1 -- one ;\n AS a /* ; */').all(),
  'numbered values are bound': (db) => db.prepare('SELECT ?2 AS a, ?1 AS b, ?2 AS c').bind(1, 2).all(),
  'named values are bound': (db) => db.prepare('SELECT :b AS a, @a AS b, :b AS c').bind(1, 2).all(),
  'numbered and named bytes are bound': (db) => {
    const bytes = [new Uint8Array([1]), 'text', new Uint8Array([2])] as const
    return db
      .prepare('SELECT hex(?3) AS a, ?2 AS b, hex(?1) AS c, hex(?3) AS d')
      .bind(...bytes)
      .all()
  },
  'bytes beside placeholders of each kind are bound': (db) =>
    db
      .prepare("SELECT hex(?) AS a, hex(:x) AS b, '?' AS c, hex(?) AS d, hex(:x) AS e, hex(?1) AS f")
      .bind(new Uint8Array([1]), new Uint8Array([2]), new Uint8Array([3]))
      .all(),
  'typed arrays are bound as a binding converts them': (db) =>
    db
      .prepare('SELECT hex(?) AS a, hex(?) AS b, hex(?) AS c, hex(?) AS d')
      .bind(new Uint16Array([258, 3]), new Float32Array([1.5]), new DataView(new ArrayBuffer(2)), [1.5])
      .all(),
  'NaN and infinity are bound as null': (db) =>
    db.prepare('SELECT ? AS a, typeof(?) AS b').bind(Number.NaN, Number.POSITIVE_INFINITY).all(),
  'too many values are rejected': (db) => db.prepare('SELECT ?').bind(1, 2).all(),
  'BEGIN is rejected': (db) => db.prepare('BEGIN').run(),
  'a statement over the limit is rejected': (db) => db.prepare(`SELECT '${'x'.repeat(100_001)}'`).all(),
  'a repeated column name keeps the last value': (db) => db.prepare('SELECT 1 AS a, 2 AS a').all(),
  'null in a column is null': (db) => db.prepare('SELECT NULL AS a').first('a'),
  'an unnamed column has its text as name': (db) => db.prepare('select 1;').all(),
  'run() returns rows of SELECT': (db) => db.prepare('SELECT body FROM notes ORDER BY id').run(),
  'first() executes an insert': async (db) => {
    const first = await db.prepare('INSERT INTO notes (body) VALUES (?)').bind('first').first()
    return [first, await db.prepare('SELECT count(*) AS n FROM notes').first('n')]
  },
  'raw() executes an insert': async (db) => {
    const rows = await db.prepare('INSERT INTO notes (body) VALUES (?)').bind('raw').raw()
    return [rows, await db.prepare('SELECT count(*) AS n FROM notes').first('n')]
  },
  'booleans are bound as integers': async (db) => {
    await db.prepare('CREATE TABLE flags (on_land BOOLEAN)').run()
    await db.prepare('INSERT INTO flags VALUES (true), (false)').run()
    const count = db.prepare('SELECT count(1) AS n FROM flags WHERE on_land = ?')
    return Promise.all([true, false, 0, 1, 2].map((value) => count.bind(value).first('n')))
  },
  'a prepared statement is bound more than once': (db) => {
    const byId = db.prepare('SELECT body FROM notes WHERE id = ?')
    return db.batch([byId.bind(2), byId.bind(1)])
  },
  'tables are created, filled, joined and dropped': async (db) => {
    const created = await db.batch([
      db.prepare('CREATE TABLE abc (a INT, b INT, c INT);'),
      db.prepare('CREATE TABLE cde (c TEXT, d TEXT);'),
      db.prepare('INSERT INTO abc VALUES (1, 2, 3), (4, 5, 6);'),
      db.prepare("INSERT INTO cde VALUES ('A', 'B'), ('C', 'D');"),
    ])
    const join = db.prepare('SELECT * FROM abc, cde')
    const joined = [await join.all(), await join.raw(), await join.raw({ columnNames: true })]
    const dropped = await db.batch([db.prepare('DROP TABLE abc'), db.prepare('DROP TABLE cde')])
    return [created, joined, dropped]
  },
}

/** A session has no `exec`. */
export const DATABASE_OPERATIONS: Operations<D1Database> = {
  'exec() counts lines': (db) => db.exec('CREATE TABLE more (id INTEGER);\nINSERT INTO more VALUES (1);'),
  'exec() runs lines without semicolons': (db) =>
    db.exec("INSERT INTO notes (body) VALUES ('x')\nINSERT INTO notes (body) VALUES ('y')"),
  'exec() counts a line with several statements once': (db) =>
    db.exec("INSERT INTO notes (body) VALUES ('x'); INSERT INTO notes (body) VALUES ('y')"),
  'exec() skips blank lines and indented comments': (db) =>
    db.exec("\n\nINSERT INTO notes (body) VALUES ('x');\n\n  -- a comment\n \nSELECT 1;\n\n"),
  'exec() accepts CRLF': (db) => db.exec('SELECT 1\r\nSELECT 2\r\n'),
  'exec() rejects a comment line': (db) => db.exec('-- a comment\nSELECT 1'),
  'exec() rejects a statement over several lines': (db) => db.exec("INSERT INTO notes (body)\nVALUES ('x')"),
  'exec() rejects empty text': (db) => db.exec(''),
  'exec() rejects placeholders': (db) => db.exec('SELECT ?'),
  'exec() reports a syntax error': (db) => db.exec('SELECT 1\nSELEKT 2'),
  'exec() is undone when a line fails': async (db) => {
    const text = "INSERT INTO notes (body) VALUES ('x')\nINSERT INTO nothing VALUES (1)"
    const error = await db.exec(text).catch(({ message }: Error) => message)
    return [error, await db.prepare('SELECT count(*) AS n FROM notes').first('n')]
  },
}
