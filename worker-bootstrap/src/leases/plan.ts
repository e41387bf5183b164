/** Desired leases against what is here: what to do about it. Pure. */
export type LocalPhase = 'starting' | 'ready' | 'stopping' | 'exited';

export interface LocalLease {
  leaseId: string;
  phase: LocalPhase;
}

export interface Plan {
  /** Never been here: to be started. */
  start: string[];
  /** Running and wanted no more: to be ended. */
  stop: string[];
  /** Over and wanted no more: its data is to be wiped. */
  wipe: string[];
  /** Wanted, but over and wiped long ago. A lease is never started twice, so these are reported as exited. */
  over: string[];
}

/** `ended` says whether a lease has been here before and is wiped. */
export function plan(
  desired: readonly string[],
  local: readonly LocalLease[],
  ended: (leaseId: string) => boolean,
): Plan {
  const wanted = new Set(desired);
  const here = new Set(local.map(lease => lease.leaseId));
  const unwanted = local.filter(lease => !wanted.has(lease.leaseId));
  const absent = [...wanted].filter(leaseId => !here.has(leaseId));
  return {
    start: absent.filter(leaseId => !ended(leaseId)),
    over: absent.filter(ended),
    stop: unwanted.filter(({ phase }) => phase === 'starting' || phase === 'ready').map(lease => lease.leaseId),
    wipe: unwanted.filter(({ phase }) => phase === 'exited').map(lease => lease.leaseId),
  };
}
