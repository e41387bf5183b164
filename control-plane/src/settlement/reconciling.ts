/** Holds the chain against the ledger. What cannot be explained stops pay-outs until someone has looked at it, or it is gone. */
import { unitsInWords } from '@iocloud/contracts';
import { differenceOf } from '../core/settlement/index.js';
import { heldOnChain } from '../ledger/index.js';
import { watchDeposits } from './deposits.js';
import type { SettledAsset } from './terms.js';
import { tellOperators, type World } from './world.js';

export interface AssetBalance {
  asset: SettledAsset;
  onChain: bigint;
  inBooks: bigint;
  difference: bigint;
}

/** Deposits go on while we look: what comes in between two readings is read before anything is said to be wrong. */
const mostLooks = 4;

export async function reconcile(world: World): Promise<AssetBalance[]> {
  const balances: AssetBalance[] = [];
  for (const asset of world.terms.mints.keys()) {
    let balance = await compare(world, asset);
    for (let look = 1; look < mostLooks && balance.difference !== 0n; look++) {
      await watchDeposits(world);
      const again = await compare(world, asset);
      const same = again.difference === balance.difference;
      balance = again;
      if (same) break;
    }
    await note(world, balance);
    balances.push(balance);
  }
  return balances;
}

async function compare({ database, chain }: World, asset: SettledAsset): Promise<AssetBalance> {
  const { rows: accounts } = await database.query<{ address: string }>(
    'SELECT address FROM chain_accounts WHERE asset = $1 ORDER BY address',
    [asset],
  );
  const amounts = await chain.tokenAmounts(accounts.map(({ address }) => address));
  const onChain = amounts.reduce<bigint>((sum, amount) => sum + (amount ?? 0n), 0n);
  // Nobody else writes any of this while the turn goes on.
  const { rows } = await database.query<{ small: string }>(
    `SELECT coalesce(sum(amount), 0)::text AS small FROM deposits WHERE asset = $1 AND state = 'small'`,
    [asset],
  );
  const { rows: flights } = await database.query<{ amount: string }>(
    `SELECT sum(p.amount)::text AS amount FROM payouts p
     WHERE p.asset = $1 AND p.state IN ('signed', 'sent') GROUP BY p.chain_transaction_id`,
    [asset],
  );
  const inBooks = (await heldOnChain(database, asset)) + BigInt(rows[0]?.small ?? 0);
  const inFlight = flights.map(({ amount }) => BigInt(amount));
  return { asset, onChain, inBooks, difference: differenceOf({ onChain, inBooks, inFlight }) };
}

async function note(world: World, { asset, onChain, inBooks, difference }: AssetBalance): Promise<void> {
  await world.database.transaction(async tx => {
    const { rows } = await tx.query<{ id: number; difference: string }>(
      `SELECT id, (on_chain - in_ledger)::text AS difference FROM settlement_differences
       WHERE asset = $1 AND cleared_at IS NULL FOR UPDATE`,
      [asset],
    );
    const [open] = rows;
    if (difference === 0n) {
      if (!open) return;
      await tx.query('UPDATE settlement_differences SET cleared_at = now() WHERE id = $1', [open.id]);
      const message = `chain and ledger agree on ${asset} again (difference ${open.id})`;
      await tellOperators(world, tx, { reason: 'SettlementAgrees', message });
      return;
    }
    if (open && BigInt(open.difference) === difference) return;
    // Another difference than the one that was looked at: nobody has acknowledged this one.
    if (open) await tx.query('UPDATE settlement_differences SET cleared_at = now() WHERE id = $1', [open.id]);
    const words = (units: bigint) => `${unitsInWords(units, asset)} ${asset}`;
    const message = `the chain holds ${words(onChain)} and the ledger says ${words(inBooks)}: a difference of ${words(difference)} that nothing under way explains`;
    await tx.query('INSERT INTO settlement_differences (asset, on_chain, in_ledger, message) VALUES ($1, $2, $3, $4)', [
      asset,
      String(inBooks + difference),
      String(inBooks),
      message,
    ]);
    await tellOperators(world, tx, {
      reason: 'SettlementDiffers',
      message: `${message}; pay-outs stop until it is acknowledged or gone`,
      severity: 'error',
    });
  });
}
