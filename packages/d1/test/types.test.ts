import type { D1Database as Binding } from '@cloudflare/workers-types'
import { expectTypeOf, test } from 'vitest'
import type { D1Database } from '../src/index.ts'

test('a binding and a client have the same type', () => {
  expectTypeOf<Binding>().toExtend<D1Database>()
  expectTypeOf<D1Database>().toExtend<Binding>()
})
