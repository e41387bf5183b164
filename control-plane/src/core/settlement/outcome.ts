/**
 * What has become of a signed transaction, judged at finality alone. A transaction with a durable nonce can be executed
 * only while its nonce is in force, and being executed, well or not, ends the nonce. So while it is in force nothing has
 * happened and the same bytes are sent again, at no risk; once it is over, the one transaction that ended it says which.
 */

export interface Seen {
  /** In force on the nonce account, read before the rest. */
  nonceNow: string | null;
  /** The transactions of the nonce account that carried the nonce in question. */
  carriers: readonly { signature: string; failed: boolean }[];
}

export type Outcome =
  | { is: 'open' }
  | { is: 'finalized' }
  | { is: 'failed' }
  | { is: 'superseded'; by: string }
  /** The nonce is over, and nothing seen says by what: nobody may conclude anything. */
  | { is: 'unknown' };

export function outcomeOf(signed: { signature: string; nonce: string }, { nonceNow, carriers }: Seen): Outcome {
  const own = carriers.find(({ signature }) => signature === signed.signature);
  if (own) return own.failed ? { is: 'failed' } : { is: 'finalized' };
  if (nonceNow === signed.nonce) return { is: 'open' };
  const other = carriers[0];
  return other ? { is: 'superseded', by: other.signature } : { is: 'unknown' };
}
