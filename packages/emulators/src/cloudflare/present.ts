import type { WireMeta } from './worker/wire.ts'

const colo: Readonly<Record<string, string>> = {
  ...{ wnam: 'SJC', enam: 'IAD', weur: 'LHR', eeur: 'WAW', apac: 'SIN', oc: 'SYD' },
}

/** A statement's effects in the API's own fields. */
export function presentMeta(meta: WireMeta, region: string): Record<string, unknown> {
  return {
    ...{
      served_by: 'tenantry-emulator',
      served_by_region: region.toUpperCase(),
      served_by_colo: colo[region],
    },
    ...{ served_by_primary: true, timings: { sql_duration_ms: meta.duration }, ...meta, total_attempts: 1 },
  }
}
