import { type Call, type Caller, Failure, type Transaction } from '../platform/index.js';

/**
 * Runs `effect` once for each Idempotency-Key of a tenant: a repeated call gets the first one's answer. The key commits
 * with the effect, so a crash between the two cannot happen; a call that runs at the same time waits for the first.
 * Throws Failure 'conflict' when the key came with another request before.
 */
export async function once<T>(
  tx: Transaction,
  caller: Caller,
  idempotency: Call<never>['idempotency'],
  effect: () => Promise<T>,
): Promise<T> {
  if (idempotency === null) return effect();
  const { key, operation, requestHash } = idempotency;
  const inserted = await tx.query(
    `INSERT INTO idempotency_keys (tenant_id, key, operation, request_hash) VALUES ($1, $2, $3, $4)
     ON CONFLICT DO NOTHING`,
    [caller.tenantId, key, operation, requestHash],
  );
  if (inserted.rowCount === 1) {
    const response = await effect();
    await tx.query('UPDATE idempotency_keys SET response = $3 WHERE tenant_id = $1 AND key = $2', [
      caller.tenantId,
      key,
      JSON.stringify(response),
    ]);
    return response;
  }
  const { rows } = await tx.query<{ operation: string; request_hash: Buffer; response: T }>(
    'SELECT operation, request_hash, response FROM idempotency_keys WHERE tenant_id = $1 AND key = $2',
    [caller.tenantId, key],
  );
  const before = rows[0];
  if (!before || before.operation !== operation || !requestHash.equals(before.request_hash)) {
    throw new Failure('conflict', 'this Idempotency-Key came with another request before; use a new one');
  }
  return before.response;
}
