/**
 * The layers of our packages, from the ground up. An entry is a file or a folder of `src`; a file may import its own folder
 * and lower layers. Entries of one layer do not import each other. docs/architecture.md prints this table (scripts/check-structure.ts
 * writes it), and e2e/test/structure.test.ts checks every import against it, type imports included.
 */
export const LAYERS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'multi-tenancy': [
    ['errors.ts'],
    ['tenant-id.ts'],
    ['types'],
    ['util'],
    ['provider-kit'],
    ['database', 'request'],
    ['factory'],
    ['catalog'],
    ['lifecycle'],
    ['tenants'],
    ['api'],
    ['create-catalog.ts', 'setup.ts'],
    ['index.ts', 'catalog.ts', 'provider.ts'],
    ['memory'],
  ],
  turso: [
    ['libsql', 'timeout-option.ts', 'locator.ts'],
    ['options.ts', 'kysely.ts'],
    ['control-plane', 'file'],
    ['errors.ts'],
    ['client'],
    ['provider.ts'],
    ['factory.ts'],
    ['index.ts'],
  ],
  d1: [
    ['types.ts', 'errors.ts'],
    ['client', 'locator.ts', 'options.ts', 'diagnose.ts'],
    ['control-plane', 'kysely.ts'],
    ['access'],
    ['provider.ts'],
    ['factory.ts'],
    ['index.ts'],
  ],
  'postgres-schema': [
    ['errors.ts', 'locator.ts', 'kysely.ts', 'connection-options.ts'],
    ['options.ts'],
    ['connections'],
    ['control-plane'],
    ['client', 'diagnose.ts', 'explain.ts'],
    ['provider.ts'],
    ['factory.ts'],
    ['index.ts'],
  ],
  mysql: [
    ['errors.ts', 'locator.ts', 'kysely.ts', 'sql-text.ts'],
    ['driver-options.ts'],
    ['options.ts'],
    ['connections'],
    ['client', 'control-plane'],
    ['diagnose.ts'],
    ['provider.ts'],
    ['factory.ts'],
    ['index.ts'],
  ],
  conformance: [
    ['harness.ts', 'wrappers'],
    ['support'],
    ['context.ts', 'crash'],
    ['case.ts'],
    ['suites'],
    ['cases.ts'],
    ['test-provider.ts'],
    ['index.ts'],
  ],
  emulators: [
    ['http.ts', 'client.ts'],
    ['fault-engine.ts'],
    ['cloudflare', 'turso'],
    ['commands', 'index.ts'],
    ['bin.ts'],
  ],
}

/** Lines that a file of a package's `src` may have, unless TABLES lists it. */
export const FILE_LINES = 250
/** Lines that a function may have, unless TABLES lists it. */
export const FUNCTION_LINES = 100
export const POSITIONAL_PARAMETERS = 4

/** Files (`path`) and functions (`path functionName`) that are tables, and so may be longer. */
export const TABLES: Readonly<Record<string, string>> = {}
