import { equal } from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ChildReport, ChildTask } from './child-process.ts'

/** In this repository the child is TypeScript; in the published package it is built. */
const IS_SOURCE = import.meta.url.endsWith('.ts')
const CHILD = fileURLToPath(new URL(IS_SOURCE ? './child-process.ts' : './crash-child.js', import.meta.url))

/** Runs a child process until each of its tenants is paused or done, and kills it. */
export async function runAndKill(task: ChildTask): Promise<ChildReport[]> {
  const child = fork(CHILD, {
    env: { ...process.env, TENANTRY_CRASH_TASK: JSON.stringify(task) },
    execArgv: IS_SOURCE ? ['--conditions=source', '--no-warnings'] : ['--no-warnings'],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  const reports: ChildReport[] = []
  if (child.stdout !== null) {
    for await (const line of createInterface({ input: child.stdout })) {
      reports.push(JSON.parse(line))
      if (reports.length === task.tenants.length) break
    }
  }
  child.kill('SIGKILL')
  await exited
  equal(reports.length, task.tenants.length, 'the child process ended before it had reported every tenant')
  return reports
}
