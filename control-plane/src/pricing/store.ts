/** Price versions and the terms in force, in PostgreSQL. */
import type { PriceVersion } from '@iocloud/contracts';
import { defaultTerms, type PricingTerms, utilisationPpm } from '../core/pricing/index.js';
import type { Queryable, Transaction } from '../platform/index.js';

interface VersionRow {
  id: string;
  model: string;
  valid_from: Date;
  valid_until: Date;
  micro_usd_per_gpu_hour: number;
  before_micro_usd: number;
  base_micro_usd: number;
  aim_micro_usd: number;
  used_device_seconds: number;
  offered_device_seconds: number;
  curve: PriceVersion['curve'];
  made_at: Date;
}

const toVersion = (row: VersionRow): PriceVersion => ({
  id: row.id,
  model: row.model,
  microUsdPerGpuHour: row.micro_usd_per_gpu_hour,
  validFrom: row.valid_from.toISOString(),
  validUntil: row.valid_until.toISOString(),
  beforeMicroUsd: row.before_micro_usd,
  baseMicroUsd: row.base_micro_usd,
  aimMicroUsd: row.aim_micro_usd,
  usedDeviceSeconds: row.used_device_seconds,
  offeredDeviceSeconds: row.offered_device_seconds,
  utilisationPpm: utilisationPpm({
    used: BigInt(row.used_device_seconds),
    offered: BigInt(row.offered_device_seconds),
  }),
  curve: row.curve,
  madeAt: row.made_at.toISOString(),
});

/** The newest of each model. It is in force, and stands in until its successor is made. */
export async function newestVersions(db: Queryable): Promise<PriceVersion[]> {
  const { rows } = await db.query<VersionRow>({
    name: 'newest-price-versions',
    text: `WITH RECURSIVE models AS (
             (SELECT model FROM price_versions ORDER BY model LIMIT 1)
             UNION ALL
             SELECT (SELECT v.model FROM price_versions v WHERE v.model > models.model ORDER BY v.model LIMIT 1)
             FROM models WHERE models.model IS NOT NULL)
           SELECT v.* FROM models CROSS JOIN LATERAL (
             SELECT * FROM price_versions p WHERE p.model = models.model ORDER BY valid_from DESC LIMIT 1) v
           ORDER BY v.model`,
  });
  return rows.map(toVersion);
}

/** Newest first. */
export async function versionsOf(
  db: Queryable,
  model: string,
  before: Date | null,
  limit: number,
): Promise<PriceVersion[]> {
  const { rows } = await db.query<VersionRow>(
    `SELECT * FROM price_versions WHERE model = $1 AND ($2::timestamptz IS NULL OR valid_from < $2)
     ORDER BY valid_from DESC LIMIT $3`,
    [model, before, limit],
  );
  return rows.map(toVersion);
}

export async function versionsById(db: Queryable, ids: readonly string[]): Promise<PriceVersion[]> {
  const { rows } = await db.query<VersionRow>('SELECT * FROM price_versions WHERE id = ANY ($1) ORDER BY id', [ids]);
  return rows.map(toVersion);
}

export type NewVersion = Omit<PriceVersion, 'utilisationPpm' | 'madeAt'>;

export async function insertVersions(tx: Transaction, versions: readonly NewVersion[]): Promise<void> {
  for (const version of versions) {
    await tx.query(
      `INSERT INTO price_versions (id, model, valid_from, valid_until, micro_usd_per_gpu_hour, before_micro_usd,
         base_micro_usd, aim_micro_usd, used_device_seconds, offered_device_seconds, curve)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      [
        version.id,
        version.model,
        version.validFrom,
        version.validUntil,
        version.microUsdPerGpuHour,
        version.beforeMicroUsd,
        version.baseMicroUsd,
        version.aimMicroUsd,
        version.usedDeviceSeconds,
        version.offeredDeviceSeconds,
        JSON.stringify(version.curve),
      ],
    );
  }
}

/** What a control plane was started with last. */
export async function readTerms(db: Queryable): Promise<PricingTerms> {
  const { rows } = await db.query<{ terms: PricingTerms }>('SELECT terms FROM pricing_terms');
  return rows[0]?.terms ?? defaultTerms;
}

/** True if they were others before. */
export async function writeTerms(tx: Transaction, terms: PricingTerms): Promise<boolean> {
  const { rowCount } = await tx.query(
    `INSERT INTO pricing_terms (terms) VALUES ($1)
     ON CONFLICT (one) DO UPDATE SET terms = excluded.terms WHERE pricing_terms.terms <> excluded.terms`,
    [JSON.stringify(terms)],
  );
  return rowCount === 1;
}
