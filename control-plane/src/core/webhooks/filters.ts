/** Kinds of events by name. Pure. */

/** `job.JobFailed`. */
export const typeOf = ({ subjectKind, reason }: { subjectKind: string; reason: string }): string =>
  `${subjectKind}.${reason}`;

/** Filters are `*`, `job.*` and `job.JobFailed`. */
export const isWanted = (type: string, filters: readonly string[]): boolean =>
  filters.some(filter => filter === '*' || filter === type || filter === `${type.split('.')[0]}.*`);
