import { type RunningProcess, startNode } from '@tenantry/test-support'

/** Starts a module in a process of its own, and waits for its message `ready`. */
export async function startReadyProcess(module: URL, args: readonly string[]): Promise<RunningProcess> {
  const child = startNode(module, args, { messages: true })
  const message = await child.receive()
  if (message !== 'ready') throw new Error(`Expected the message "ready", received "${message}"`)
  return child
}
