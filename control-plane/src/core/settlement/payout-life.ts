/** The life of a payout. Money is set aside from `reserved` on; it leaves the books at `finalized` or comes back at `returned`. */

export type PayoutState =
  | 'requested'
  | 'confirmed'
  | 'reserved'
  | 'signed'
  | 'sent'
  | 'finalized'
  | 'failed'
  | 'returned'
  | 'cancelled'
  | 'refused';
export type PayoutEvent =
  | 'confirm'
  | 'cancel'
  | 'reserve'
  | 'refuse'
  | 'sign'
  | 'send'
  | 'finalize'
  | 'fail'
  | 'supersede'
  | 'return';

export const payoutTransitions: Record<PayoutState, Partial<Record<PayoutEvent, PayoutState>>> = {
  requested: { confirm: 'confirmed', cancel: 'cancelled' },
  confirmed: { reserve: 'reserved', refuse: 'refused', cancel: 'cancelled' },
  reserved: { sign: 'signed', cancel: 'failed' },
  // Nobody cancels what is signed: whoever has the bytes can send them.
  signed: { send: 'sent', finalize: 'finalized', fail: 'failed', supersede: 'reserved' },
  sent: { finalize: 'finalized', fail: 'failed', supersede: 'reserved' },
  failed: { return: 'returned' },
  finalized: {},
  returned: {},
  cancelled: {},
  refused: {},
};

/** Null: not from there. */
export const afterPayoutEvent = (state: PayoutState, event: PayoutEvent): PayoutState | null =>
  payoutTransitions[state][event] ?? null;

/** Where its money is in the books. */
export function moneyOf(state: PayoutState): 'source' | 'payout' | 'chain' {
  if (state === 'finalized') return 'chain';
  return ['reserved', 'signed', 'sent', 'failed'].includes(state) ? 'payout' : 'source';
}

/** Those count against the limit of a day. */
export const spendsLimit = (state: PayoutState): boolean => !['returned', 'cancelled', 'refused'].includes(state);
export const payoutStates = Object.keys(payoutTransitions) as PayoutState[];
