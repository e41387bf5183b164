/**
 * What comes in. All token accounts of ours are asked for their balances, a hundred to a call; where one is not what is on
 * record its transactions are read, and a few others in turn, so that nothing stays unread for long. Only what is final is
 * looked at, and each transaction's effect on an account is on record once.
 */
import { type TenantId, unitsInWords } from '@iocloud/contracts';
import { type Change, changesOf, creditsNow } from '../core/settlement/index.js';
import { postDeposits } from '../ledger/index.js';
import type { Transaction } from '../platform/index.js';
import { type ChainTransaction, signaturePage } from './chain/rpc.js';
import type { SettledAsset } from './terms.js';
import { tell, tellOperators, type World } from './world.js';

interface Account {
  address: string;
  asset: SettledAsset;
  tenant_id: TenantId | null;
  balance: string;
  cursor: string | null;
}

const readInTurn = 20;
/** Of an account whose balance the new ones do not explain: a node may have shown some late. */
const mostPagesAgain = 3;

export async function watchDeposits(world: World): Promise<void> {
  const { rows: accounts } = await world.database.query<Account>(
    'SELECT address, asset, tenant_id, balance::text, cursor FROM chain_accounts ORDER BY looked_at, address',
  );
  const amounts = await world.chain.tokenAmounts(accounts.map(({ address }) => address));
  for (const [index, account] of accounts.entries()) {
    const differs = amounts[index] !== BigInt(account.balance);
    if (!differs && index >= readInTurn) continue;
    const news = await readNew(world, account);
    if (differs && !news) await readAgain(world, account);
  }
}

/** True if there were any. */
async function readNew(world: World, account: Account): Promise<boolean> {
  const lines: string[] = [];
  for (let before: string | null = null; ; ) {
    const page = await world.chain.signaturesOf(account.address, { until: account.cursor, before });
    lines.push(...page.filter(({ failed }) => !failed).map(({ signature }) => signature));
    before = page.at(-1)?.signature ?? null;
    if (page.length < signaturePage) break;
  }
  for (const signature of lines.reverse()) if (!(await recordTransaction(world, signature, account.address))) break;
  await world.database.query('UPDATE chain_accounts SET looked_at = now() WHERE address = $1', [account.address]);
  return lines.length > 0;
}

async function readAgain(world: World, account: Account): Promise<void> {
  let before: string | null = null;
  for (let page = 0; page < mostPagesAgain; page++) {
    const lines = await world.chain.signaturesOf(account.address, { before });
    const worked = lines.filter(({ failed }) => !failed).map(({ signature }) => signature);
    for (const signature of await unknownOf(world, worked)) await recordTransaction(world, signature, null);
    if (lines.length < signaturePage) return;
    before = lines.at(-1)?.signature ?? null;
  }
}

/** Those that nothing is on record of: the others are not asked for once more. */
async function unknownOf({ database }: World, signatures: readonly string[]): Promise<string[]> {
  const { rows } = await database.query<{ signature: string }>(
    `SELECT s.signature FROM unnest($1::text[]) AS s (signature)
     WHERE NOT EXISTS (SELECT FROM deposits d WHERE d.signature = s.signature)
       AND NOT EXISTS (SELECT FROM chain_transactions c WHERE c.signature = s.signature)`,
    [signatures],
  );
  return rows.map(({ signature }) => signature);
}

/** False: the node has listed it but does not show it yet. `cursorOf`: the account that has been read up to it. */
async function recordTransaction(world: World, signature: string, cursorOf: string | null): Promise<boolean> {
  const seen = await world.chain.transaction(signature);
  if (seen === null) return false;
  await world.database.transaction(async tx => {
    if (!seen.failed) await recordChanges(world, tx, signature, seen);
    if (cursorOf !== null)
      await tx.query('UPDATE chain_accounts SET cursor = $2 WHERE address = $1', [cursorOf, signature]);
  });
  return true;
}

async function recordChanges(world: World, tx: Transaction, signature: string, seen: ChainTransaction): Promise<void> {
  const { rows: owners } = await tx.query<{ owner: string; tenant_id: TenantId | null }>(
    `SELECT address AS owner, tenant_id FROM deposit_addresses WHERE address = ANY ($1)
     UNION ALL SELECT treasury, NULL FROM settlement_identity`,
    [[...new Set(seen.after.map(({ owner }) => owner))]],
  );
  const tenantOf = new Map(owners.map(({ owner, tenant_id }) => [owner, tenant_id]));
  const { rows: ours } = await tx.query<{ kind: string }>('SELECT kind FROM chain_transactions WHERE signature = $1', [
    signature,
  ]);
  for (const change of changesOf(seen.before, seen.after, new Set(tenantOf.keys()))) {
    const tenantId = tenantOf.get(change.owner) ?? null;
    // What our own did is booked with its outcome; but a payout may go to the deposit address of another tenant.
    if (ours.some(({ kind }) => kind === 'sweep' || tenantId === null)) continue;
    if (change.amount > 0n) await recordDeposit(world, tx, { signature, slot: seen.slot, tenantId, change });
  }
}

interface Incoming {
  signature: string;
  slot: bigint;
  tenantId: TenantId | null;
  change: Change;
}

async function recordDeposit(world: World, tx: Transaction, incoming: Incoming): Promise<void> {
  const { signature, slot, tenantId, change } = incoming;
  const { rows } = await tx.query<{ asset: SettledAsset }>('SELECT asset FROM chain_accounts WHERE address = $1', [
    change.account,
  ]);
  const asset = rows[0]?.asset ?? null;
  const { rowCount } = await tx.query(
    `INSERT INTO deposits (signature, account, tenant_id, asset, mint, amount, slot, state)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
    [
      ...[signature, change.account, tenantId, asset, change.mint, String(change.amount), String(slot)],
      asset === null ? 'ignored' : 'small',
    ],
  );
  if (rowCount === 0) return;
  if (asset === null) {
    const message = `tokens of mint ${change.mint} came to ${change.owner} (transaction ${signature}); they are not settled here and were not credited`;
    if (tenantId === null) await tellOperators(world, tx, { reason: 'DepositIgnored', message, severity: 'warning' });
    else await tell(tx, tenantId, 'DepositIgnored', message, 'warning');
    return;
  }
  await tx.query('UPDATE chain_accounts SET balance = balance + $2 WHERE address = $1', [
    change.account,
    String(change.amount),
  ]);
  if (tenantId === null) await creditTreasury(world, tx, { signature, change, asset });
  else await creditTenant(world, tx, tenantId, asset);
}

async function creditTreasury(
  world: World,
  tx: Transaction,
  { signature, change, asset }: { signature: string; change: Change; asset: SettledAsset },
): Promise<void> {
  const { account, amount } = change;
  const [id] = await postDeposits(tx, [{ signature, account, asset, amount, tenantId: null }]);
  await markCredited(tx, signature, account, id);
  const message = `the treasury was funded with ${unitsInWords(amount, asset)} ${asset} (transaction ${signature})`;
  await tellOperators(world, tx, { reason: 'TreasuryFunded', message });
}

/** All that it has paid in and not been credited with, once that is enough. */
async function creditTenant(world: World, tx: Transaction, tenantId: TenantId, asset: SettledAsset): Promise<void> {
  const { rows } = await tx.query<{ signature: string; account: string; amount: string }>(
    `SELECT signature, account, amount::text FROM deposits
     WHERE tenant_id = $1 AND asset = $2 AND state = 'small' ORDER BY at, signature, account FOR UPDATE`,
    [tenantId, asset],
  );
  const least = world.terms.leastDeposit[asset];
  if (
    !creditsNow(
      rows.map(({ amount }) => BigInt(amount)),
      least,
    )
  ) {
    const message = `a deposit of less than ${unitsInWords(least, asset)} ${asset} came in; it is credited together with the next ones`;
    await tell(tx, tenantId, 'DepositSmall', message);
    return;
  }
  const deposits = rows.map(row => ({ ...row, asset, amount: BigInt(row.amount), tenantId }));
  const ids = await postDeposits(tx, deposits);
  for (const [index, { signature, account, amount }] of deposits.entries()) {
    await markCredited(tx, signature, account, ids[index]);
    const words = `${unitsInWords(amount, asset)} ${asset}`;
    await tell(tx, tenantId, 'DepositCredited', `a deposit of ${words} was credited (transaction ${signature})`);
  }
}

const markCredited = (tx: Transaction, signature: string, account: string, transactionId: number | undefined) =>
  tx.query(
    `UPDATE deposits SET state = 'credited', transaction_id = $3 WHERE signature = $1 AND account = $2 AND state = 'small'`,
    [signature, account, transactionId],
  );
