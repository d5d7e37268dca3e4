/** The name in backquotes. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}

/** The text in quotes, for statements without parameters. Our sessions interpret backslash escapes. */
export function quoteText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** The name of a database as GRANT reads it: in GRANT, `_` and `%` are patterns unless they are escaped. */
export function escapeGrantPattern(name: string): string {
  return name.replace(/[\\_%]/g, '\\$&')
}
