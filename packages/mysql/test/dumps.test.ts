import { readFileSync } from 'node:fs'
import type { TenancyError, TenantFactory } from '@tenantry/multi-tenancy'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createMysqlFactory } from '../src/index.ts'
import { SECRET } from './harness.ts'
import { createWorld, type World } from './support.ts'

/** What `mysqldump --routines --triggers --events` 10.11 wrote. */
const DUMP = readFileSync(new URL('fixtures/mysqldump.sql', import.meta.url), 'utf8')
/** What the errors ask for: `mysqldump --skip-add-locks`, and no definers. */
const withoutLocks = DUMP.replace(/^(?:UN)?LOCK TABLES.*;\n/gm, '')
const runnable = withoutLocks.replace(/DEFINER=`[^`]*`@`[^`]*`/g, '')

/** As a tutorial writes them, without a dump's comments. */
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

describe('a .sql file as tools and tutorials write it', () => {
  let world: World
  const factories: TenantFactory<any>[] = []
  beforeAll(() => {
    world = createWorld()
  })
  afterAll(async () => {
    await Promise.all(factories.map((factory) => factory.close()))
    await world?.end()
  })

  function createFactory(sql: string): TenantFactory<any> {
    const { registry, prefix } = world
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
    (await world.sql(sql.replaceAll('$', `\`${world.prefix}${tenantId}\``))).map((row) => Object.values(row))

  it('of mysqldump is refused with the remedy until locks and definers are removed', async () => {
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
    await world.sql(`INSERT INTO \`${world.prefix}dump\`.notes (id) VALUES (2)`)
    await world.sql(`CALL \`${world.prefix}dump\`.p(3)`)
    expect(await query('dump', 'SELECT what FROM $.log')).toEqual([['big'], ['p1'], ['p3']])
    expect(await query('dump', 'SELECT $.f(5)')).toEqual([[5]])
    expect(await query('dump', 'SELECT id FROM $.v ORDER BY id')).toEqual([[1], [2]])
  })

  it('of a tutorial runs with its DELIMITER and compound bodies', async () => {
    await createFactory(TUTORIAL).provision('tutorial')
    expect(await query('tutorial', 'SELECT what FROM $.log')).toEqual([['ROW 1;'], ['ROW 3;']])
  })
})
