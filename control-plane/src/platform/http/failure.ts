/** Expected failures of a call, mapped to a problem document in one place. */
import { type Problem, type ProblemCode, problemStatus } from '@iocloud/contracts';

export class Failure extends Error {
  constructor(
    readonly code: ProblemCode,
    /** What was wrong, where, and what to do. Never a secret. */
    readonly detail: string,
    readonly errors?: { path: string; message: string }[],
  ) {
    super(detail);
  }

  get status(): number {
    return problemStatus[this.code];
  }
}

export function toProblem(failure: Failure, instance: string): Problem {
  return {
    type: `urn:iocloud:problem:${failure.code}`,
    title: failure.code.replaceAll('-', ' '),
    status: failure.status,
    detail: failure.detail,
    instance,
    ...(failure.errors ? { errors: failure.errors } : {}),
  };
}
