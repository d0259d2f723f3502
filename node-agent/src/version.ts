/** Told to the hub with every heartbeat and shown in /health. */
export const VERSION = '0.1.0'
