/** What a tenant wants of the token rules: third-party stake at a part of its rewards; and who referred it. */
import type { TenantId, TokenSettings } from '@iocloud/contracts';
import { Failure, type Queryable, type Transaction } from '../platform/index.js';
import { versionAt } from './versions.js';
import { type TokenWiring, timeOf } from './wiring.js';

interface Row {
  tenant_id: TenantId;
  delegation_ppm: number | null;
  referrer_id: TenantId | null;
}
const toSettings = (row: Row | undefined): TokenSettings => ({
  delegationPpm: row?.delegation_ppm ?? null,
  referrerId: row?.referrer_id ?? null,
});

export async function settingsOfAll(db: Queryable): Promise<Map<TenantId, TokenSettings>> {
  const { rows } = await db.query<Row>('SELECT * FROM token_settings');
  return new Map(rows.map(row => [row.tenant_id, toSettings(row)]));
}

export async function settingsOf(db: Queryable, tenantId: TenantId): Promise<TokenSettings> {
  const { rows } = await db.query<Row>('SELECT * FROM token_settings WHERE tenant_id = $1', [tenantId]);
  return toSettings(rows[0]);
}

/** Throws Failure. */
export async function changeSettings(
  tx: Transaction,
  wiring: TokenWiring,
  tenantId: TenantId,
  changes: { delegationPpm?: number | null | undefined; referrerId?: TenantId | undefined },
): Promise<TokenSettings> {
  await tx.query('INSERT INTO token_settings (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING', [tenantId]);
  const { rows } = await tx.query<Row>('SELECT * FROM token_settings WHERE tenant_id = $1 FOR UPDATE', [tenantId]);
  const before = toSettings(rows[0]);
  const { delegationPpm = before.delegationPpm, referrerId = before.referrerId } = changes;
  if (delegationPpm !== before.delegationPpm && delegationPpm !== null) {
    const { parameters } = await versionAt(tx, await timeOf(wiring, tx));
    const { delegationMinPpm, delegationMaxPpm } = parameters;
    if (delegationPpm < delegationMinPpm || delegationPpm > delegationMaxPpm) {
      throw new Failure('bad-request', `body.delegationPpm: from ${delegationMinPpm} to ${delegationMaxPpm}`);
    }
  }
  if (referrerId !== before.referrerId && referrerId !== null) {
    if (before.referrerId !== null) throw new Failure('conflict', 'who referred you is on record, and is not changed');
    if (referrerId === tenantId) throw new Failure('bad-request', 'body.referrerId: nobody refers itself');
    await wiring.demandTenant(tx, referrerId);
  }
  await tx.query('UPDATE token_settings SET delegation_ppm = $2, referrer_id = $3 WHERE tenant_id = $1', [
    tenantId,
    delegationPpm,
    referrerId,
  ]);
  return { delegationPpm, referrerId };
}
