import { describe, expect, it } from 'vitest'
import {
  mysqlMigrationSql,
  postgresMigrationSql,
  sqliteMigrationSql,
} from '../../src/provider-kit/migration-sql/migration-sql.ts'

const MIGRATION_SQL = { sqlite: sqliteMigrationSql, postgres: postgresMigrationSql, mysql: mysqlMigrationSql }

describe('statements that only a command-line client understands', () => {
  it.each([
    [
      'postgres',
      'CREATE TABLE a (b int);\n\nCOPY public.a (b) FROM stdin;\n1\n2\n\\.\n',
      'line 3 (COPY',
      '--inserts',
    ],
    ['postgres', 'COPY a TO STDOUT', 'line 1 (COPY', '--inserts'],
    ['postgres', '-- dump\n\\connect other\n\nCREATE TABLE a (b int);', 'line 2 (\\ CONNECT', 'psql'],
    ['postgres', 'SELECT 1;\n\\restrict aB3\nSELECT 2;', 'line 2 (\\ RESTRICT', 'psql'],
    ['mysql', 'SELECT 1;\nsource other.sql', 'line 2 (SOURCE', 'mysql client'],
    [
      'mysql',
      'CREATE DEFINER=`root`@`%` TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @a = 1',
      'line 1',
      'DEFINER',
    ],
    [
      'mysql',
      '/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`r`@`%` */\n/*!50001 VIEW v AS SELECT 1 */',
      'line 1',
      'DEFINER',
    ],
    ['mysql', 'CREATE OR REPLACE DEFINER = root@localhost PROCEDURE p() SELECT 1', 'line 1', 'DEFINER'],
    ['sqlite', '.mode csv', 'line 1 (. MODE', 'sqlite3 shell'],
  ] as const)('%s: %j is refused with its line and what to do', (dialect, sql, place, remedy) => {
    const read = (): unknown => MIGRATION_SQL[dialect].readStatements('0001_dump', sql, 'transaction')
    expect(read).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(read).toThrow(place)
    expect(read).toThrow(remedy)
  })

  it.each([
    ['mysql', 'CREATE DEFINER = CURRENT_USER PROCEDURE p() SELECT 1'],
    ['mysql', "UPDATE a SET b = 'DEFINER = root'"],
    ['mysql', 'SET FOREIGN_KEY_CHECKS = 0, UNIQUE_CHECKS = 0'],
    ['mysql', "SET SQL_MODE = 'NO_AUTO_VALUE_ON_ZERO', autocommit = 1"],
    ['mysql', "SET @a = 'x GLOBAL y'"],
    ['postgres', "COPY a FROM PROGRAM 'x'"],
    ['postgres', 'SET CONSTRAINTS ALL DEFERRED'],
    ['sqlite', 'PRAGMA main.user_version = 5'],
    ['sqlite', 'PRAGMA foreign_key_check("a")'],
    ['sqlite', 'CREATE TABLE pragma (attach)'],
  ] as const)('%s: %j is left to the server', (dialect, sql) => {
    const { statements } = MIGRATION_SQL[dialect].readStatements('0001', sql, 'transaction')
    expect(statements).toEqual([sql])
  })
})
