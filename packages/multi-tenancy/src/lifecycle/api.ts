import { Hono } from 'hono'
import type { LifecycleApiOptions } from './types.ts'
export function createTenantsApi(_options: LifecycleApiOptions): Hono {
  return new Hono()
}
