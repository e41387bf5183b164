/** What the API server answered, or that it did not. */
export class ApiError extends Error {
  override name = 'ApiError';

  constructor(
    /** 0: no answer came. */
    readonly status: number,
    readonly reason: string,
    message: string,
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

const hasStatus = (error: unknown, status: number) => error instanceof ApiError && error.status === status;

export const isNotFound = (error: unknown) => hasStatus(error, 404);
export const isGone = (error: unknown) => hasStatus(error, 410);
export const isConflict = (error: unknown) => hasStatus(error, 409);
export const isAlreadyThere = (error: unknown) => isConflict(error) && (error as ApiError).reason === 'AlreadyExists';
/** A namespace on its way out takes nothing new: no fault of ours, and nothing to try again. */
export const isTerminatingNamespace = (error: unknown) =>
  hasStatus(error, 403) && /being terminated/.test((error as ApiError).message);
/** The same request may succeed later. */
export const isPassing = (error: unknown) =>
  error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
