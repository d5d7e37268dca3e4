import { escapeIdentifier, escapeLiteral } from 'pg'

/**
 * Turns an empty schema into a distributed one, in the transaction that creates the schema: its tables then live on one
 * worker, together. `DROP SCHEMA` takes them away as it does local ones.
 *
 * @see https://docs.citusdata.com/en/stable/develop/api_udf.html#citus-schema-distribute
 */
export function distributeStatement(schema: string): string {
  return `SELECT pg_catalog.citus_schema_distribute(${escapeLiteral(escapeIdentifier(schema))}::pg_catalog.regnamespace)`
}
