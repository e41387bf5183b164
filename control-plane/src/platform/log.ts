/** Structured logs: JSON, one line for each fact, with secrets cut out. */
import { type DestinationStream, type Logger, pino } from 'pino';
import { currentIds } from './context.js';

export type { Logger } from 'pino';

const secretKeys = [
  'authorization',
  'Authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'token',
  'authToken',
  'secret',
  'secretKey',
  'privateKey',
  'password',
  'passphrase',
  'apiKey',
  'kubeconfig',
  'databaseUrl',
  'redisUrl',
];

export function createLogger(level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: undefined,
      mixin: currentIds,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      redact: {
        paths: secretKeys.flatMap(key =>
          ['', '*.', '*.*.', '*.*.*.'].map(above => `${above}["${key}"]`.replace('.[', '[')),
        ),
        censor: '[redacted]',
      },
    },
    destination ?? pino.destination({ fd: 1, sync: false }),
  );
}
