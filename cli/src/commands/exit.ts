/** Exit codes, and errors that a person reads in one line. */
import type { Problem } from '@iocloud/contracts';

/** Documented in README.md; scripts rely on them. */
export const exitCodes = {
  ok: 0,
  callFailed: 1,
  usage: 2,
  unauthenticated: 3,
  notFound: 4,
  permissionDenied: 5,
  conflict: 6,
  unreachable: 7,
  timedOut: 8,
  jobUnsuccessful: 9,
  interrupted: 130,
} as const;
export type ExitName = keyof typeof exitCodes;

/** An expected end of a command: what was wrong and what to do, in one line. */
export class CliError extends Error {
  constructor(
    readonly exit: ExitName,
    message: string,
    readonly problem?: Problem,
  ) {
    super(message);
  }
}

/** Which exit code an HTTP status means. */
export function exitOfStatus(status: number): ExitName {
  switch (status) {
    case 401:
      return 'unauthenticated';
    case 403:
      return 'permissionDenied';
    case 404:
      return 'notFound';
    case 409:
      return 'conflict';
    case 502:
    case 503:
    case 504:
      return 'unreachable';
    default:
      return 'callFailed';
  }
}
