/** Everything that is not exactly a tenant id, and has fooled some library once. */
export const HOSTILE_IDS: readonly unknown[] = [
  '', ' ', 'Acme', 'ACME', 'acme ', ' acme', 'acme\n', 'acme\0', 'acme%00', '%61cme', 'a--b', '-acme', 'acme-', '-',
  'a_b', 'a.b', 'acme.', '.', '..', '../acme', '..%2facme', 'a/../b', 'a/b', 'a\\b', 'evil.com/x', 'user@evil.com',
  'evil.com:8080', 'acme?x=1', 'acme#x', "acme'; DROP TABLE t; --", 'acme"', 'acme`', 'acmé', 'acme\u0301', 'аcme',
  'ａcme', 'acme\u200b', '\ufeffacme', '\u202eacme', 'ſs', 'K', '__proto__', 'x'.repeat(64), 'x'.repeat(100_000),
  0, 1, true, false, null, undefined, Number.NaN, {}, [], ['acme'], { toString: () => 'acme' }, Symbol('acme'), 10n,
  () => 'acme', new String('acme'),
] // biome-ignore format: a corpus
