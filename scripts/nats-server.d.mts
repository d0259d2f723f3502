import type { ChildProcess } from 'node:child_process'

/** Path of nats-server: from PATH, else installed by the system's package manager; otherwise an error that says what to do. */
export function ensureNatsServer(options?: { say?: (sentence: string) => void }): Promise<string>
/** E.g. `2.9.10`. */
export function natsServerVersion(path: string): Promise<string>
/** Resolves when the server takes connections; a taken port is named in the error. The caller ends the child with SIGTERM. */
export function startNatsServer(options: { path: string; configFile: string; timeoutMs?: number; launcher?: readonly string[] | undefined }): Promise<ChildProcess>
