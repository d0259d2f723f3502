import type { Log } from 'service-kit'

/** Repeats `work` with `pauseMs` between the end of one round and the begin of the next, whatever a round's outcome. */
export function every(pauseMs: number, what: string, work: () => Promise<void>, log: Log): { stop: () => Promise<void> } {
  let stopped = false
  let wake = () => {}
  async function run() {
    while (!stopped) {
      try {
        await work()
      } catch (error) {
        log.error({ err: error }, `${what} failed; it will be tried again`)
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pauseMs)
        wake = () => (clearTimeout(timer), resolve())
        if (stopped) wake()
      })
    }
  }
  const running = run()
  return {
    stop: () => {
      stopped = true
      wake()
      return running
    },
  }
}
