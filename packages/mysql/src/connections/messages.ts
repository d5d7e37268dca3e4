/** What the driver has and its types do not tell. */
export interface Internals {
  readonly stream: {
    readonly destroyed: boolean
    destroy(): void
    cork(): void
    uncork(): void
    once(event: 'close', on: () => void): void
  }
  readonly _command: unknown
  readonly _paused: boolean
  readonly _statements: { values(): Iterable<{ close: () => void }>; clear(): void }
  readonly clientEncoding: string
  readonly config: { charsetNumber: unknown; readonly compress?: unknown }
  /** Of the next message. */
  sequenceId: number
  write(message: Buffer): void
  addCommand(command: Command): Command
  on(event: 'warn', listener: (error: Error) => void): void
  _handleFatalError(error: Error): void
}

/** One of the driver's commands: it sends with the first call, and gets a message with each other one. */
export interface Command {
  /** @returns whether it is done */
  execute(message: Message | undefined, client: Internals): boolean
}

/** What the server sends. */
export interface Message {
  isError(): boolean
  asError(encoding: string): Error
}

/** What goes along with a command, each message being answered by one. */
export interface Company {
  readonly before?: readonly Buffer[]
  readonly after?: readonly Buffer[]
  onSend?(client: Internals): void
  /** @throws to end the connection */
  onRefused(error: Error, after: boolean): void
  /** All is answered. */
  onDone?(): void
}

/**
 * The command, with other messages before and after its own, all sent at once. The server takes one after the other
 * and answers in their order, so nothing comes between.
 */
export function accompany(
  command: Command,
  { before = [], after = [], onSend, onRefused, onDone }: Company,
): Command {
  const execute = command.execute.bind(command)
  let [first, last] = [before.length, after.length]
  let done = false
  /** What the driver expects of the command's own answer: each command counts its messages from nought. */
  let sequence = 0

  function expect(client: Internals): boolean {
    if (first > 0) client.sequenceId = 1
    else if (!done) client.sequenceId = sequence
    else if (last > 0) client.sequenceId = 1
    else {
      onDone?.()
      return true
    }
    return false
  }

  function start(client: Internals): boolean {
    onSend?.(client)
    client.stream.cork()
    for (const message of before) client.write(message)
    done = execute(undefined, client)
    for (const message of after) client.write(message)
    client.stream.uncork()
    sequence = client.sequenceId
    return expect(client)
  }

  let started = false
  command.execute = (message, client) => {
    if (!started) {
      started = true
      return start(client)
    }
    if (first === 0 && !done) {
      done = execute(message, client)
      return done && expect(client)
    }
    if (message?.isError()) onRefused(message.asError(client.clientEncoding), first === 0)
    if (first > 0) first--
    else last--
    return expect(client)
  }
  return command
}

/** Has the driver's next command go so, before what else stands in for `addCommand`. */
export function accompanyNext(client: Internals, company: Company, other?: Internals['addCommand']): void {
  const driver: Partial<Internals> = client
  // One that has ended takes no more commands: the driver has replaced it.
  if (Object.hasOwn(driver, 'addCommand') && driver.addCommand !== other) return
  driver.addCommand = (command) => {
    delete driver.addCommand
    if (other !== undefined) driver.addCommand = other
    return client.addCommand(accompany(command, company))
  }
}

/** As the driver says it, for a connection that is ended because of an answer: what was sent with it may be done. */
export function lostConnection(why: string, cause: Error): Error {
  return Object.assign(new Error(`Connection lost: ${why}`, { cause }), { code: 'PROTOCOL_CONNECTION_LOST' })
}

/** A message that is a command and nothing else, but for what is `given`: at most 254 bytes. */
export function commandMessage(code: number, ...given: readonly number[]): Buffer {
  return Buffer.from([1 + given.length, 0, 0, 0, code, ...given])
}

/** A short statement. */
export function queryMessage(text: string): Buffer {
  return commandMessage(0x03, ...Buffer.from(text))
}
