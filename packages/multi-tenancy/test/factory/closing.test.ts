import { createGate } from '@tenantry/test-support'
import { expect, test } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { defineFactory } from '../../src/factory/define-factory.ts'
import { createMemoryProvider } from '../../src/memory/index.ts'

function startProvision() {
  const faults: string[] = []
  const gate = createGate()
  const provider = createMemoryProvider()
  const factory = defineFactory(
    {
      ...provider,
      async create() {
        await gate.pass()
        throw new TenancyError('closed', 'The connection pool was closed')
      },
    },
    { onError: (error) => void faults.push(error.code) },
  )
  const outcome = factory.provision('acme').then(
    () => 'succeeded',
    (error: TenancyError) => error.code,
  )
  return { factory, faults, gate, outcome }
}

test('work that close() interrupts is rejected as closed, and is not reported as a fault', async () => {
  const { factory, faults, gate, outcome } = startProvision()
  await gate.reached
  await factory.close()
  gate.open()
  expect(await outcome).toBe('closed')
  expect(faults).toEqual([])
})

test('a connection that is closed while the factory is open is reported as a fault', async () => {
  const { faults, gate, outcome } = startProvision()
  gate.open()
  expect(await outcome).toBe('closed')
  expect(faults).toEqual(['closed'])
})
