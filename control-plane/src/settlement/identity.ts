/** Binds a database to its keys and mints, and watches the token accounts that follow from them. */
import type { TenantId } from '@iocloud/contracts';
import { ConfigError, type Database, type Transaction } from '../platform/index.js';
import { tokenAccountOf } from './chain/build.js';
import type { Signer } from './signer.js';
import type { SettledAsset, Terms } from './terms.js';

export interface Identity {
  feePayer: string;
  treasury: string;
}

/** Throws ConfigError where this database has been settled with other keys, or an asset under another mint. */
export async function bindIdentity(
  database: Database,
  signer: Signer,
  { mints }: Pick<Terms, 'mints'>,
): Promise<Identity> {
  const mine = { feePayer: await signer.address('fee-payer'), treasury: await signer.address('treasury') };
  await database.transaction(async tx => {
    await tx.query(
      `INSERT INTO settlement_identity (fee_payer, treasury, mints) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
      [mine.feePayer, mine.treasury, JSON.stringify(Object.fromEntries(mints))],
    );
    const { rows } = await tx.query<{ fee_payer: string; treasury: string; mints: Record<string, string> }>(
      'SELECT fee_payer, treasury, mints FROM settlement_identity FOR UPDATE',
    );
    const [known] = rows;
    if (known?.fee_payer !== mine.feePayer || known.treasury !== mine.treasury) {
      throw new ConfigError(
        `IOCLOUD_SETTLEMENT_KEYSTORE: this database is settled from treasury ${known?.treasury}, and the keystore is that of ${mine.treasury} (docs/settlement.md)`,
      );
    }
    for (const [asset, mint] of mints) {
      const before = known.mints[asset];
      if (before === undefined || before === mint) continue;
      throw new ConfigError(
        `IOCLOUD_SETTLEMENT_FILE: ${asset} has been settled as ${before}, and now says ${mint}: a mint does not change (docs/settlement.md)`,
      );
    }
    await tx.query('UPDATE settlement_identity SET mints = mints || $1', [JSON.stringify(Object.fromEntries(mints))]);
    await watchAccounts(tx, null, mine.treasury, mints);
    const { rows: deposits } = await tx.query<{ tenant_id: TenantId; address: string }>(
      `SELECT tenant_id, address FROM deposit_addresses d
       WHERE (SELECT count(*) FROM chain_accounts c WHERE c.tenant_id = d.tenant_id) < $1`,
      [mints.size],
    );
    for (const { tenant_id, address } of deposits) await watchAccounts(tx, tenant_id, address, mints);
  });
  return mine;
}

async function watchAccounts(
  tx: Transaction,
  tenantId: TenantId | null,
  owner: string,
  mints: ReadonlyMap<SettledAsset, string>,
): Promise<void> {
  for (const [asset, mint] of mints) {
    await tx.query(
      'INSERT INTO chain_accounts (address, asset, tenant_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
      [await tokenAccountOf(owner, mint), asset, tenantId],
    );
  }
}

/** The address that a tenant pays in to, made at its first call and the same for ever. */
export async function depositAddress(
  tx: Transaction,
  signer: Signer,
  terms: Pick<Terms, 'mints'>,
  tenantId: TenantId,
): Promise<string> {
  const known = await readAddress(tx, tenantId);
  if (known !== null) return known;
  const { rows } = await tx.query<{ number: number }>(
    `SELECT nextval(pg_get_serial_sequence('deposit_addresses', 'number'))::int AS number`,
  );
  const number = rows[0]?.number ?? 0;
  const address = await signer.address(`deposit/${number}`);
  await tx.query(
    `INSERT INTO deposit_addresses (tenant_id, number, address) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3)
     ON CONFLICT (tenant_id) DO NOTHING`,
    [tenantId, number, address],
  );
  const mine = (await readAddress(tx, tenantId)) ?? address;
  await watchAccounts(tx, tenantId, mine, terms.mints);
  return mine;
}

async function readAddress(tx: Transaction, tenantId: TenantId): Promise<string | null> {
  const { rows } = await tx.query<{ address: string }>('SELECT address FROM deposit_addresses WHERE tenant_id = $1', [
    tenantId,
  ]);
  return rows[0]?.address ?? null;
}
