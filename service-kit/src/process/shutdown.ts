import process from 'node:process'
import type { Log } from '../log/index.ts'

export interface ShutdownOptions {
  readonly log: Log
  /** For all hooks together; then the process ends as it is. Whatever was acknowledged is on disk already. */
  readonly deadlineMs?: number
  /** The process itself; a test puts its own in. */
  readonly host?: Pick<NodeJS.Process, 'on' | 'off' | 'exit'>
}

export interface Shutdown {
  /**
   * Adds what has to be stopped, as soon as it was started. Hooks run one after another, the last added first, so that a part ends
   * before those it stands on; a hook that fails is logged and does not keep the others from running.
   */
  onStop(name: string, stop: () => Promise<void> | void): void
  /** Stops everything and ends the process; a second call changes nothing. */
  stop(reason: string, exitCode?: number): Promise<void>
  /** Ends with the start of stopping, for waits and loops. */
  readonly signal: AbortSignal
  /** Stops listening to the process, for tests. */
  dispose(): void
}

/** Ctrl-C in a terminal reaches a child twice, from the terminal and from its parent; only later does it mean impatience. */
const IMPATIENT_MS = 1_000

/** Ends a process in order on SIGINT and SIGTERM, and makes sure that no error goes unseen. */
export function createShutdown({ log, deadlineMs = 15_000, host = process }: ShutdownOptions): Shutdown {
  const hooks: { name: string; stop: () => Promise<void> | void }[] = []
  const stopping = new AbortController()
  let stoppingSince = 0

  async function stop(reason: string, exitCode = 0): Promise<void> {
    if (stopping.signal.aborted) return
    stopping.abort()
    stoppingSince = Date.now()
    log.info({ reason }, 'stopping')
    const deadline = setTimeout(() => {
      log.error({ deadlineMs, waitingFor: hooks.at(-1)?.name }, 'not stopped in time, ending')
      host.exit(1)
    }, deadlineMs)
    let code = exitCode
    for (let hook = hooks.at(-1); hook !== undefined; hook = hooks.at(-1)) {
      try {
        await hook.stop()
      } catch (error) {
        log.error({ err: error, part: hook.name }, 'could not stop cleanly')
        code = 1
      }
      hooks.pop()
    }
    clearTimeout(deadline)
    log.info({ reason }, 'stopped')
    host.exit(code)
  }

  function onSignal(name: string): void {
    if (!stopping.signal.aborted) void stop(name)
    else if (Date.now() - stoppingSince > IMPATIENT_MS) {
      log.warn({ reason: name }, 'asked again, ending at once')
      host.exit(1)
    }
  }
  const onInterrupt = () => onSignal('SIGINT')
  const onTerminate = () => onSignal('SIGTERM')
  // Nobody waits for this promise any more, so nothing half-done depends on it: the service goes on.
  const onRejection = (error: unknown) => log.error({ err: error }, 'unhandled rejection')
  // After an exception that nobody caught nothing is known of the state: the process ends, and what counts is on disk.
  const onException = (error: Error) => {
    log.fatal({ err: error }, 'uncaught exception')
    void stop('uncaught exception', 1)
  }
  host.on('SIGINT', onInterrupt)
  host.on('SIGTERM', onTerminate)
  host.on('unhandledRejection', onRejection)
  host.on('uncaughtException', onException)

  return {
    onStop: (name, work) => hooks.push({ name, stop: work }),
    stop,
    signal: stopping.signal,
    dispose() {
      host.off('SIGINT', onInterrupt)
      host.off('SIGTERM', onTerminate)
      host.off('unhandledRejection', onRejection)
      host.off('uncaughtException', onException)
    },
  }
}
