import pino from 'pino'

export type Log = pino.Logger
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Members that hold a patient's or a secret's text, wherever they appear down to the third level (SEC-11). */
const hidden = [
  ...[
    'patientName',
    'patientId',
    'patientSex',
    'patientBirthDate',
    'patient',
    'clinicalHistory',
    'question',
    'findings',
    'opinion',
    'advice',
  ],
  ...['password', 'token', 'authorization', 'cookie', 'privateKey', 'privateKeyPem', 'joinCode', 'natsCredentials', 'seed'],
]

/**
 * A log of JSON lines on standard output, one event each, times in ISO 8601 UTC.
 * @param destination Where the lines go; standard output unless told (tests read them).
 */
export function createLog(options: { name: string; level?: LogLevel | undefined }, destination?: { write(line: string): void }): Log {
  const settings: pino.LoggerOptions = {
    name: options.name,
    level: options.level ?? 'info',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: hidden.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[hidden]' },
    serializers: { err: pino.stdSerializers.errWithCause },
  }
  return destination ? pino(settings, destination) : pino(settings)
}
