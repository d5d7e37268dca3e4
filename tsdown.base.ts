import type { UserConfig } from 'tsdown'

/** What every published package shares; each lists only its entries and its runtime. */
export const base: UserConfig = {
  format: 'esm',
  target: 'es2023',
  platform: 'neutral',
  deps: { neverBundle: [/^node:/] },
  dts: true,
  sourcemap: true,
  clean: true,
  fixedExtension: false,
  publint: { strict: true },
  attw: { profile: 'esm-only', level: 'error' },
}
