/** Why a workload is not running: a code, the figures, and a sentence. Every queued workload has one. */

export type Wait =
  /** Its tenant's own running work must end first. */
  | { code: 'tenant-quota'; resource: string; wanted: number; free: number }
  /** Others of its cohort hold what is its tenant's own; borrowers are being asked to give it back. */
  | { code: 'lent'; resource: string; wanted: number; free: number }
  /** It needs more than its tenant's quota, and the cohort has not enough to lend. */
  | { code: 'loan'; resource: string; wanted: number; free: number }
  | { code: 'behind-quota'; behind: string }
  | { code: 'behind-loan'; behind: string }
  | { code: 'no-room'; message: string }
  /** `microUsdPerHour`: of what is free now. Null: nothing is, and nothing that could be is as cheap as wanted. */
  | { code: 'price'; microUsdPerHour: number | null; maxMicroUsdPerHour: number; forcedAtMs: number | null }
  | { code: 'budget'; microUsdPerHour: number | null; maxMicroUsdPerHour: number; leftMicroUsd: number }
  | { code: 'backoff'; untilMs: number };

export type WaitCode = Wait['code'];

/** What has to change before it is worth looking again. `aside`: a time, and for that workload alone. */
export const wokenBy: Record<WaitCode, 'tenant' | 'behind' | 'lent in' | 'loan in' | 'behind in' | 'ground' | 'aside'> =
  {
    'tenant-quota': 'tenant',
    'behind-quota': 'behind',
    lent: 'lent in',
    loan: 'loan in',
    'behind-loan': 'behind in',
    'no-room': 'ground',
    price: 'aside',
    budget: 'aside',
    backoff: 'aside',
  };

const dollars = (microUsd: number) => `${(microUsd / 1e6).toFixed(2)} USD`;

export function sentence(wait: Wait): string {
  switch (wait.code) {
    case 'tenant-quota':
      return `Waiting for its tenant's own work to end: it asks for ${wait.wanted} ${wait.resource}, ${wait.free} of the quota are free.`;
    case 'lent':
      return `Waiting for what its tenant has lent: it asks for ${wait.wanted} ${wait.resource}, ${wait.free} are free in the cohort.`;
    case 'loan':
      return `Waiting to borrow: it asks for ${wait.wanted} ${wait.resource}, ${wait.free} are free in the cohort.`;
    case 'behind-quota':
      return `Waiting behind ${wait.behind}, which is next for its tenant's quota.`;
    case 'behind-loan':
      return `Waiting to borrow behind ${wait.behind}, which is next in the cohort.`;
    case 'no-room':
      return `Waiting for room: ${wait.message}.`;
    case 'price': {
      const now =
        wait.microUsdPerHour === null
          ? 'nothing that could carry it is as cheap'
          : `it costs ${dollars(wait.microUsdPerHour)} an hour now`;
      return `Waiting for a cheap window: ${now}, at most ${dollars(wait.maxMicroUsdPerHour)} is wanted${wait.forcedAtMs === null ? '' : ` until ${new Date(wait.forcedAtMs).toISOString()}, when its deadline forces it`}.`;
    }
    case 'budget': {
      const now =
        wait.microUsdPerHour === null ? 'on all that could carry it' : `at ${dollars(wait.microUsdPerHour)} an hour`;
      return `Waiting for a lower price: ${now} it could pass its budget, of which ${dollars(wait.leftMicroUsd)} are left; at most ${dollars(wait.maxMicroUsdPerHour)} an hour would do.`;
    }
    case 'backoff':
      return `Waiting until ${new Date(wait.untilMs).toISOString()} before it is tried again.`;
  }
}
