export { createShutdown, type Shutdown, type ShutdownOptions } from './shutdown.ts'
