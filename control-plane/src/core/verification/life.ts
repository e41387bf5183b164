/** The life of a verification, as data; an event that is absent cannot happen. Pure. */
import type { VerificationState } from '@iocloud/contracts';

/**
 * `cutShort`: the process that held the conversation has gone, or the device gets another try. `lapsed`: its hour is over
 * and it could not be challenged (away, or leased throughout).
 */
export type VerificationEvent = 'challenge' | 'commit' | 'open' | 'judge' | 'cutShort' | 'lapsed';

export const verificationTransitions: Record<
  VerificationState,
  Partial<Record<VerificationEvent, VerificationState>>
> = {
  due: { challenge: 'challenged', lapsed: 'judged' },
  challenged: { commit: 'committed', judge: 'judged', cutShort: 'due' },
  committed: { open: 'opened', judge: 'judged', cutShort: 'due' },
  opened: { commit: 'committed', judge: 'judged', cutShort: 'due' },
  judged: {},
};
