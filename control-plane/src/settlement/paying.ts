/** From a confirmed payout to bytes on record: set aside, put together, tried out, signed once. */
import { unitsInWords } from '@iocloud/contracts';
import { batchesOf, computeUnits } from '../core/settlement/index.js';
import { reservePayout } from '../ledger/index.js';
import { Failure } from '../platform/index.js';
import {
  firstTransferInstruction,
  type NonceInForce,
  tokenAccountOf,
  transfersTransaction,
  unsignedWire,
} from './chain/build.js';
import { costOf, feeFault, freeNonces, signAndRecord } from './chain-transactions.js';
import { movePayouts, type Payout, payoutsIn } from './payout-store.js';
import { mintOf, tell, type World } from './world.js';

const mostAtOnce = 200;

/** Sets the money of what is confirmed aside; where it is no longer there, the payout is refused. */
export async function reserveConfirmed(world: World): Promise<void> {
  const { rows } = await world.database.query<{ id: Payout['id'] }>(
    `SELECT id FROM payouts WHERE state = 'confirmed' ORDER BY requested_at, id LIMIT $1`,
    [mostAtOnce],
  );
  for (const { id } of rows) {
    const fault = await world.database
      .transaction(async tx => {
        const [payout] = (await payoutsIn(tx, 'confirmed', mostAtOnce)).filter(other => other.id === id);
        if (!payout) return;
        await movePayouts(tx, [id], 'reserve');
        await reservePayout(tx, payout);
        const words = `${unitsInWords(payout.amount, payout.asset)} ${payout.asset}`;
        await tell(tx, payout.tenantId, 'PayoutReserved', `${words} were set aside for payout ${id}`);
      })
      .then(() => null)
      .catch(error => {
        if (error instanceof Failure) return error.detail;
        throw error;
      });
    if (fault === null) continue;
    await world.database.transaction(async tx => {
      const [payout] = (await payoutsIn(tx, 'confirmed', mostAtOnce)).filter(other => other.id === id);
      if (!payout) return;
      await movePayouts(tx, [id], 'refuse', { reason: fault });
      await tell(tx, payout.tenantId, 'PayoutRefused', `payout ${id} was refused: ${fault}`, 'warning');
    });
  }
}

/** Signs as many batches as there are free nonces. Returns what is in the way of the rest. */
export async function signPayouts(world: World): Promise<string[]> {
  const { batches, problems } = await nextBatches(world);
  if (batches.length === 0) return problems;
  const nonces = await freeNonces(world);
  for (const [index, batch] of batches.entries()) {
    const nonce = nonces[index];
    if (!nonce) break;
    const fault = await signBatch(world, batch, nonce);
    if (fault) problems.push(fault);
  }
  return problems;
}

async function nextBatches(world: World): Promise<{ batches: Payout[][]; problems: string[] }> {
  return world.database.transaction(async tx => {
    const { rows } = await tx.query<{ asset: string; free: string }>(
      `SELECT a.asset, (a.balance - coalesce((
         SELECT sum(p.amount) FROM payouts p WHERE p.asset = a.asset AND p.state IN ('signed', 'sent')), 0))::text AS free
       FROM chain_accounts a WHERE a.tenant_id IS NULL`,
    );
    const reserved = await payoutsIn(tx, 'reserved', mostAtOnce);
    const { batches, waiting } = batchesOf(reserved, new Map(rows.map(({ asset, free }) => [asset, BigInt(free)])));
    const assets = [...new Set(waiting.map(({ asset }) => asset))];
    const problems = assets.map(asset => {
      const need = waiting.filter(payout => payout.asset === asset).reduce((sum, { amount }) => sum + amount, 0n);
      return `the treasury lacks ${asset}: payouts over ${unitsInWords(need, asset)} ${asset} wait for sweeps or for funds sent to ${world.treasury}`;
    });
    return { batches, problems };
  });
}

/** Null: it is signed, or will be tried again in another way. */
async function signBatch(world: World, batch: Payout[], nonce: NonceInForce): Promise<string | null> {
  const [{ asset } = { asset: 'IO' as const }] = batch;
  const mint = mintOf(world, asset);
  const from = await tokenAccountOf(world.treasury, mint.mint);
  const units = computeUnits(batch.length);
  const parts = { signatures: 2, computeUnits: units, newAccounts: batch.length };
  const { price, mostLamports } = await costOf(world, [world.feePayer, from], parts);
  const fault = await feeFault(world, mostLamports);
  if (fault) return fault;
  const transfers = batch.map(({ address, amount }) => ({ from, authority: world.treasury, to: address, amount }));
  const transaction = await transfersTransaction(world.feePayer, nonce, mint, transfers, {
    computeUnits: units,
    price,
  });
  const trial = await world.chain.simulate(unsignedWire(transaction));
  if (trial !== null) return refuseTrial(world, batch, trial);
  const ids = batch.map(({ id }) => id);
  await world.database.transaction(async tx => {
    const id = await signAndRecord(world, tx, {
      ...{ kind: 'payout', asset, nonce, keys: ['fee-payer', 'treasury'], transaction, mostLamports, replaces: null },
    });
    if (id === null) return;
    const moved = await movePayouts(tx, ids, 'sign', { chainTransactionId: id });
    if (!moved) throw new Failure('conflict', `payouts of transaction ${id} are no longer there to be paid`);
  });
  return null;
}

/** One that cannot work would take the others of its batch with it: they are tried one by one, and that one comes back. */
async function refuseTrial(
  world: World,
  batch: Payout[],
  { instruction, words }: { instruction: number | null; words: string },
): Promise<string | null> {
  if (instruction === null || instruction < firstTransferInstruction) return `a payout cannot be tried out: ${words}`;
  const ids = batch.map(({ id }) => id);
  await world.database.transaction(async tx => {
    if (batch.length > 1) await tx.query('UPDATE payouts SET alone = true WHERE id = ANY ($1)', [ids]);
    else await movePayouts(tx, ids, 'cancel', { reason: `the receiver's account cannot take it: ${words}` });
  });
  return null;
}
