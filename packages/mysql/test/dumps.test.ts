import { readFileSync } from 'node:fs'
import type { TenancyError, TenantFactory } from '@tenantry/multi-tenancy'
import { defineMigrations, migrate, repairMigration } from '@tenantry/multi-tenancy'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createMysqlFactory } from '../src/index.ts'
import { SECRET } from './harness.ts'
import { createTestEnvironment, type TestEnvironment } from './support.ts'

/** Output of `mysqldump --routines --triggers --events` 10.11. */
const DUMP = readFileSync(new URL('fixtures/mysqldump.sql', import.meta.url), 'utf8')
/** The dump after the remedies that the errors name: `mysqldump --skip-add-locks`, and no definers. */
const withoutLocks = DUMP.replace(/^(?:UN)?LOCK TABLES.*;\n/gm, '')
const runnable = withoutLocks.replace(/DEFINER=`[^`]*`@`[^`]*`/g, '')

/** Routines as tutorials write them, without the executable comments of a dump. */
const TUTORIAL = `CREATE TABLE log (what VARCHAR(50));
DELIMITER //
CREATE PROCEDURE fill(IN n INT)
BEGIN
  DECLARE i INT DEFAULT 0;
  filling: WHILE i < n DO
    SET i = i + 1;
    IF i = 2 THEN ITERATE filling; END IF;
    INSERT INTO log VALUES (CONCAT('row ', i, ';'));
  END WHILE filling;
END //
DELIMITER ;
CREATE TRIGGER shout BEFORE INSERT ON log FOR EACH ROW
  IF NEW.what LIKE 'row%' THEN SET NEW.what = UPPER(NEW.what); END IF;
CALL fill(3);`

describe('a .sql file', () => {
  let environment: TestEnvironment
  const factories: TenantFactory<any>[] = []
  beforeAll(() => {
    environment = createTestEnvironment()
  })
  afterAll(async () => {
    await Promise.all(factories.map((factory) => factory.close()))
    await environment?.end()
  })

  function createFactory(sql: string): TenantFactory<any> {
    const { registry, prefix } = environment
    const factory = createMysqlFactory({
      connection: inject('mysqlUrl'),
      registry,
      secret: SECRET,
      databasePrefix: prefix,
      migrations: { '0001_dump': sql },
    })
    factories.push(factory)
    return factory
  }

  const query = async (tenantId: string, sql: string): Promise<unknown[]> =>
    (await environment.sql(sql.replaceAll('$', `\`${environment.prefix}${tenantId}\``))).map((row) =>
      Object.values(row),
    )

  it('from mysqldump is refused with the remedy until locks and definers are removed', async () => {
    const failure = (sql: string): Promise<TenancyError> =>
      createFactory(sql)
        .provision('dump')
        .catch((error) => error)
    await expect(failure(DUMP)).resolves.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/in line \d+ \(LOCK TABLES.*--skip-add-locks/),
    })
    await expect(failure(withoutLocks)).resolves.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/in line \d+ \(CREATE DEFINER = ROOT.*DEFINER/),
    })
    await createFactory(runnable).provision('dump')
    expect(await query('dump', 'SELECT * FROM $.notes')).toEqual([[1, "it's; \\ // $$", 0]])
    await environment.sql(`INSERT INTO \`${environment.prefix}dump\`.notes (id) VALUES (2)`)
    await environment.sql(`CALL \`${environment.prefix}dump\`.p(3)`)
    expect(await query('dump', 'SELECT what FROM $.log')).toEqual([['big'], ['p1'], ['p3']])
    expect(await query('dump', 'SELECT $.f(5)')).toEqual([[5]])
    expect(await query('dump', 'SELECT id FROM $.v ORDER BY id')).toEqual([[1], [2]])
  })

  it('from a tutorial runs with its DELIMITER and compound bodies', async () => {
    await createFactory(TUTORIAL).provision('tutorial')
    expect(await query('tutorial', 'SELECT what FROM $.log')).toEqual([['ROW 1;'], ['ROW 3;']])
  })

  it('that is continued after a failed statement has the settings of its first statements again', async () => {
    const begin = `SET FOREIGN_KEY_CHECKS = 0;
      CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id));
      CREATE TABLE parent (id INT PRIMARY KEY);`
    await createFactory('SELECT 1').provision('resumed')
    const { client } = await environment.open('resumed')
    const options = (sql: string) => ({
      provider: environment.provider,
      client,
      tenantId: 'resumed',
      migrations: defineMigrations({ '0001_dump': 'SELECT 1', '0002_rows': `${begin} ${sql}` }),
    })
    await expect(migrate(options('INSERT INTO missing VALUES (1)'))).rejects.toMatchObject({
      code: 'migration_failed',
      message: expect.stringContaining('statement 4 of 4'),
    })
    const corrected = options('INSERT INTO child VALUES (1, 5)')
    await repairMigration({ ...corrected, name: '0002_rows', statement: 3 })
    expect(await migrate(corrected)).toEqual(['0002_rows'])
    expect(await query('resumed', 'SELECT * FROM $.child')).toEqual([[1, 5]])
  })
})
