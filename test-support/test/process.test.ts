import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { createTempFolder, isProcessRunning, startNode, startProcess } from '../src/index.ts'

function createScript(code: string): string {
  const file = path.join(createTempFolder('script'), 'script.mjs')
  writeFileSync(file, code)
  return file
}

it('finds output that the process has written, and ends the process by its id', async () => {
  const child = startNode(createScript(`console.log('ready on 17'); setInterval(() => {}, 1000)`))
  const [, port] = await child.waitForOutput(/ready on (\d+)/)
  expect(port).toBe('17')
  expect(isProcessRunning(child.pid)).toBe(true)
  expect(await child.stop()).toMatchObject({ signal: 'SIGKILL' })
  expect(isProcessRunning(child.pid)).toBe(false)
  await child.stop()
})

it('reports the whole output of a process that ends without the expected output', async () => {
  const child = startNode(createScript(`console.log('one'); console.error('two'); process.exit(3)`))
  await expect(child.waitForOutput(/three/)).rejects.toThrow(/ended \(code 3\) without[\s\S]*one\ntwo/)
  expect(await child.exited).toEqual({ code: 3, signal: null, stdout: 'one\n', stderr: 'two\n' })
})

it('exchanges messages with a process', async () => {
  const script = createScript(`process.on('message', (m) => process.send(m + '!')); process.send('ready')`)
  const child = startNode(script, [], { messages: true })
  expect(await child.receive()).toBe('ready')
  child.send('a')
  child.send('b')
  expect([await child.receive(), await child.receive()]).toEqual(['a!', 'b!'])
  const last = child.receive()
  await child.stop()
  await expect(last).rejects.toThrow(/ended \(SIGKILL\) without a message/)
})

it('rejects when the command does not exist', async () => {
  const child = startProcess('tenantry-no-such-command', [])
  await expect(child.waitForOutput(/x/)).rejects.toMatchObject({ code: 'ENOENT' })
})
