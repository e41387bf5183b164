/** What has become of what was signed: sent again while its nonce is in force, booked once the chain has said its last word. */
import { unitsInWords } from '@iocloud/contracts';
import { computeUnits, type Outcome, outcomeOf } from '../core/settlement/index.js';
import { finishPayouts, returnPayout } from '../ledger/index.js';
import type { Transaction } from '../platform/index.js';
import { advanceTransaction } from './chain/build.js';
import { signaturePage } from './chain/rpc.js';
import { type ChainTransactionRow, costOf, feeFault, sendUnder, signAndRecord, unended } from './chain-transactions.js';
import { movePayouts, payoutsIn, payoutsOf } from './payout-store.js';
import { tell, tellOperators, type World } from './world.js';

/** How far back the history of a nonce account is read for the transaction that ended a nonce. */
const mostCarriers = 200;

/** Returns what is wrong, in words. */
export async function settleOutcomes(world: World): Promise<string[]> {
  const problems: string[] = [];
  for (const row of await unended(world.database)) {
    const { outcome, error } = await look(world, row);
    if (outcome.is === 'open') problems.push(...(await urge(world, row)));
    else if (outcome.is === 'unknown') {
      problems.push(
        `transaction ${row.signature}: its nonce is over, and the node does not show what ended it; its payouts wait (docs/settlement.md, "Recovery")`,
      );
    } else await world.database.transaction(tx => book(world, tx, row, outcome, error));
  }
  await returnFailed(world);
  return problems;
}

async function look(world: World, row: ChainTransactionRow): Promise<{ outcome: Outcome; error: string }> {
  // In this order: a nonce read first and still in force cannot have been ended by what is read after it.
  const [nonceNow = null] = await world.chain.nonces([row.nonce_account]);
  const own = await world.chain.transaction(row.signature);
  if (own !== null) {
    const carriers = [{ signature: row.signature, failed: own.failed }];
    return { outcome: outcomeOf(row, { nonceNow, carriers }), error: own.error };
  }
  if (nonceNow === row.nonce) return { outcome: outcomeOf(row, { nonceNow, carriers: [] }), error: '' };
  const lines = (await world.chain.signaturesOf(row.nonce_account)).slice(0, Math.min(mostCarriers, signaturePage));
  for (const { signature, failed } of lines) {
    const seen = await world.chain.transaction(signature);
    if (seen?.lifetime !== row.nonce) continue;
    return { outcome: outcomeOf(row, { nonceNow, carriers: [{ signature, failed }] }), error: '' };
  }
  return { outcome: outcomeOf(row, { nonceNow, carriers: [] }), error: '' };
}

/** Sends it again; one that does not get in for long is made impossible, so that its payouts can go with a better fee. */
async function urge(world: World, row: ChainTransactionRow): Promise<string[]> {
  await sendUnder(world, row);
  if (row.kind === 'advance' || row.advanced || row.age_seconds < world.terms.stuckSeconds) return [];
  const nonce = { account: row.nonce_account, nonce: row.nonce };
  const units = computeUnits(0);
  const { mostPriorityLamports } = world.terms.fees;
  const parts = { signatures: 1, computeUnits: units, newAccounts: 0 };
  const { mostLamports } = await costOf(world, [world.feePayer, row.nonce_account], parts);
  const fault = await feeFault(world, mostLamports + mostPriorityLamports);
  if (fault) return [fault];
  // It has to get in before the other one: it offers all that the budget of one transaction allows.
  const price = { computeUnits: units, price: (mostPriorityLamports * 1_000_000n) / units };
  const transaction = advanceTransaction(world.feePayer, nonce, price);
  await world.database.transaction(tx =>
    signAndRecord(world, tx, {
      ...{ kind: 'advance', asset: null, nonce, keys: ['fee-payer'], transaction, replaces: row.id },
      mostLamports: mostLamports + mostPriorityLamports,
    }),
  );
  return [`transaction ${row.signature} has not got in for ${Math.round(row.age_seconds)} s: its nonce is being ended`];
}

type Final = Exclude<Outcome, { is: 'open' | 'unknown' }>;

async function book(
  world: World,
  tx: Transaction,
  row: ChainTransactionRow,
  outcome: Final,
  error: string,
): Promise<void> {
  const { rowCount } = await tx.query(
    `UPDATE chain_transactions SET state = $2, error = $3, ended_at = now() WHERE id = $1 AND state IN ('signed', 'sent')`,
    [row.id, outcome.is, error || null],
  );
  if (rowCount !== 1) return;
  if (row.kind === 'payout') await bookPayouts(world, tx, row, outcome, error);
  if (row.kind === 'sweep' && outcome.is === 'finalized') await bookSweep(tx, row);
  if (row.kind === 'sweep' && outcome.is === 'failed') {
    const message = `sweep ${row.signature} failed: ${error}; nothing moved, and it is tried again`;
    await tellOperators(world, tx, { reason: 'SweepFailed', message, severity: 'warning' });
  }
}

async function bookPayouts(
  world: World,
  tx: Transaction,
  row: ChainTransactionRow,
  outcome: Final,
  error: string,
): Promise<void> {
  const payouts = await payoutsOf(tx, row.id);
  const ids = payouts.map(({ id }) => id);
  if (outcome.is === 'finalized') {
    const total = payouts.reduce((sum, { amount }) => sum + amount, 0n);
    await movePayouts(tx, ids, 'finalize');
    await finishPayouts(tx, payouts, row.signature);
    await moveTreasury(tx, row, -total);
    const url = world.terms.explorerUrl.replace('{signature}', row.signature);
    for (const { id, tenantId, amount, asset, address } of payouts) {
      const words = `${unitsInWords(amount, asset)} ${asset}`;
      await tell(tx, tenantId, 'PayoutFinalized', `payout ${id} of ${words} is at ${address}: ${url}`);
    }
    return;
  }
  const again = outcome.is === 'superseded' || payouts.length > 1;
  if (again) {
    await movePayouts(tx, ids, 'supersede', {
      chainTransactionId: null,
      ...(outcome.is === 'failed' ? { alone: true } : {}),
    });
    return;
  }
  await movePayouts(tx, ids, 'fail', { reason: `the chain refused it: ${error}` });
}

/** What failed for good comes back, in a step of its own. */
async function returnFailed(world: World): Promise<void> {
  for (;;) {
    const done = await world.database.transaction(async tx => {
      const [payout] = await payoutsIn(tx, 'failed', 1);
      if (!payout) return true;
      await movePayouts(tx, [payout.id], 'return');
      await returnPayout(tx, payout);
      const message = `payout ${payout.id} came back to ${payout.source}: ${payout.reason}`;
      await tell(tx, payout.tenantId, 'PayoutReturned', message, 'warning');
      return false;
    });
    if (done) return;
  }
}

async function bookSweep(tx: Transaction, row: ChainTransactionRow): Promise<void> {
  const { rows } = await tx.query<{ total: string }>(
    `WITH taken AS (
       UPDATE chain_accounts c SET balance = c.balance - s.amount FROM sweeps s
       WHERE s.chain_transaction_id = $1 AND c.address = s.account RETURNING s.amount)
     SELECT coalesce(sum(amount), 0)::text AS total FROM taken`,
    [row.id],
  );
  await moveTreasury(tx, row, BigInt(rows[0]?.total ?? 0));
}

const moveTreasury = (tx: Transaction, { asset }: Pick<ChainTransactionRow, 'asset'>, change: bigint) =>
  tx.query('UPDATE chain_accounts SET balance = balance + $2 WHERE tenant_id IS NULL AND asset = $1', [
    asset,
    String(change),
  ]);
