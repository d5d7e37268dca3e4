import { classifyTaint, type SessionTaint } from '../connections/session-taint.ts'

/** Classifies the statement in the arguments of `query`. A value with SQL of its own (`mysql.raw`) could add anything. */
export function classifyArguments([input, values]: readonly unknown[]): SessionTaint {
  const isObject = typeof input === 'object' && input !== null
  const { sql = '', values: ownValues }: { sql?: unknown; values?: unknown } = isObject
    ? input
    : { sql: input }
  return containsSql([values, ownValues]) ? 'any' : classifyTaint(String(sql))
}

/** Searches as deep as the driver does: in lists of lists, and in the columns of an object. */
function containsSql(value: unknown, objects = 2): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  if (typeof (value as { toSqlString?: unknown }).toSqlString === 'function') return true
  if (Array.isArray(value)) return value.some((each) => containsSql(each, objects))
  return objects > 0 && Object.values(value).some((each) => containsSql(each, objects - 1))
}
