/** Takes what came to deposit accounts to the treasury, several accounts to a transaction. The books do not move: it is ours. */
import { batchesOf, computeUnits, mostSweeps } from '../core/settlement/index.js';
import { tokenAccountOf, transfersTransaction } from './chain/build.js';
import { costOf, feeFault, freeNonces, signAndRecord } from './chain-transactions.js';
import type { KeyId } from './signer.js';
import type { SettledAsset } from './terms.js';
import { mintOf, type World } from './world.js';

interface Sweep {
  asset: SettledAsset;
  account: string;
  owner: string;
  number: number;
  amount: bigint;
  alone: boolean;
}

export async function signSweeps(world: World): Promise<string[]> {
  const sweeps = await due(world);
  if (sweeps.length === 0) return [];
  const all = new Map<string, bigint>();
  for (const { asset, amount } of sweeps) all.set(asset, (all.get(asset) ?? 0n) + amount);
  const nonces = await freeNonces(world);
  const problems: string[] = [];
  for (const [index, batch] of batchesOf(sweeps, all, mostSweeps).batches.entries()) {
    const nonce = nonces[index];
    const [{ asset } = { asset: 'IO' as const }] = batch;
    if (!nonce) break;
    const mint = mintOf(world, asset);
    const units = computeUnits(batch.length);
    const parts = { signatures: 1 + batch.length, computeUnits: units, newAccounts: 1 };
    const treasuryAccount = await tokenAccountOf(world.treasury, mint.mint);
    const { price, mostLamports } = await costOf(world, [world.feePayer, treasuryAccount], parts);
    const fault = await feeFault(world, mostLamports);
    if (fault) return [...problems, fault];
    const transfers = batch.map(({ account, owner, amount }) => ({
      ...{ from: account, authority: owner, to: world.treasury, amount },
    }));
    const transaction = await transfersTransaction(world.feePayer, nonce, mint, transfers, {
      computeUnits: units,
      price,
    });
    const keys: KeyId[] = ['fee-payer', ...batch.map(({ number }) => `deposit/${number}` as const)];
    await world.database.transaction(async tx => {
      const signed = { kind: 'sweep', asset, nonce, keys, transaction, mostLamports, replaces: null } as const;
      const id = await signAndRecord(world, tx, signed);
      if (id === null) return;
      for (const { account, amount } of batch) {
        await tx.query('INSERT INTO sweeps (chain_transaction_id, account, amount) VALUES ($1, $2, $3)', [
          ...[id, account, String(amount)],
        ]);
      }
    });
  }
  return problems;
}

async function due({ database, terms }: World): Promise<Sweep[]> {
  const { rows } = await database.query<Omit<Sweep, 'amount'> & { amount: string }>(
    `SELECT a.asset, a.address AS account, d.address AS owner, d.number, a.balance::text AS amount, false AS alone
     FROM chain_accounts a JOIN deposit_addresses d ON d.tenant_id = a.tenant_id
     WHERE a.balance >= CASE a.asset WHEN 'IO' THEN $1::numeric ELSE $2::numeric END
       AND NOT EXISTS (SELECT FROM sweeps s JOIN chain_transactions c ON c.id = s.chain_transaction_id
         WHERE s.account = a.address AND c.state IN ('signed', 'sent'))
     ORDER BY a.balance DESC, a.address LIMIT 200`,
    [String(terms.leastSweep.IO), String(terms.leastSweep.USDC)],
  );
  return rows.map(row => ({ ...row, amount: BigInt(row.amount) }));
}
