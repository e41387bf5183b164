/**
 * (b) Settlements a second from many clients, each durable, and beside them the same rows inserted by the same clients into
 * the same tables without triggers: each with a commit of its own, and in batches as ours come; and ours without
 * batches. (c) The time in which every balance is computed anew from the postings, 100,000 of them or as many as
 * `--postings` says.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '@iocloud/cli';
import { newId, type TenantId } from '@iocloud/contracts';
import { chargeOf, nameOf, settlementEntries } from '@iocloud/control-plane/core/billing';
import { inBatches, openTrialLedger, type Settlement } from '@iocloud/control-plane/ledger/testing';
import pg from 'pg';
import { median, report } from './measure.js';

const { values: options } = parseArgs({
  options: {
    postings: { type: 'string', default: '100000' },
    clients: { type: 'string', default: '40' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
  },
});
/** Ours and the peer's each have as many connections, of the hundred that PostgreSQL gives. */
const clients = Number(options.clients);
const seconds = Number(options.seconds);
const tenants = 50;
const fees = { paymentPpm: 20_000n, paymentInIoPpm: 0n, reservationRenterPpm: 2_500n, reservationSupplierPpm: 2_500n };
const usdPerIo = { numerator: 37n, denominator: 20n };

let made = 0;
function settlement(tenantIds: readonly TenantId[]): Settlement {
  made += 1;
  return {
    reference: `hold-${made % tenants}`,
    key: `usage ${made}`,
    supplierId: tenantIds[(made * 7) % tenants] ?? newId('tenant', randomBytes),
    costMicroUsd: 1_200_000n + BigInt((made * 7_919) % 100_000),
    usdPerIo,
    memo: 'an hour of a device',
    actor: 'benchmark',
  };
}

/** How often a second `work` is done by all clients, each one after the other. */
async function rate(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  const end = started + seconds * 1_000;
  let done = 0;
  const client = async () => {
    while (performance.now() < end) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return done / ((performance.now() - started) / 1_000);
}

/** The rows of the ledger's settlements, inserted with nothing looked up, checked or added up. */
class RawRows {
  readonly pool: pg.Pool;
  readonly #accounts = new Map<string, number>();

  constructor(url: string) {
    this.pool = new pg.Pool({ connectionString: url, max: clients });
    // One that is still closing when the server stops hears that it stops.
    this.pool.on('error', error => process.stderr.write(`${error.message}\n`));
  }

  async prepare(): Promise<void> {
    for (const table of ['transactions', 'postings']) {
      await this.pool.query(`CREATE TABLE raw_${table} (LIKE ledger_${table} INCLUDING ALL)`);
    }
  }

  /** All of them in one statement. */
  async insert(settlements: readonly Settlement[], tenantId: TenantId): Promise<void> {
    const rows = settlements.map(each => {
      const charge = chargeOf({ ...each, asset: 'USDC', fees });
      const entries = settlementEntries(
        { reference: each.reference, tenantId, asset: 'USDC' },
        each.supplierId,
        charge,
      );
      const detail = Object.fromEntries(Object.entries(charge).map(([name, amount]) => [name, String(amount)]));
      return { each, entries, detail: JSON.stringify(detail) };
    });
    const postings = rows.flatMap(({ each: { key }, entries }) =>
      entries.map(({ account, amount }, index) => ({ key, line: index + 1, id: this.#idOf(nameOf(account)), amount })),
    );
    await this.pool.query({
      name: 'raw',
      text: `WITH made AS (
               INSERT INTO raw_transactions (idempotency_key, content_hash, kind, lines, memo, detail, actor)
               SELECT key, hash, 'settlement', lines, memo, detail, actor
               FROM unnest($1::text[], $2::bytea[], $3::smallint[], $4::text[], $5::jsonb[], $6::text[])
                 AS t (key, hash, lines, memo, detail, actor)
               RETURNING id, idempotency_key)
             INSERT INTO raw_postings (transaction_id, line, account_id, amount)
             SELECT made.id, e.line, e.account_id, e.amount
             FROM unnest($7::text[], $8::smallint[], $9::bigint[], $10::bigint[]) AS e (key, line, account_id, amount)
             JOIN made ON made.idempotency_key = e.key`,
      values: [
        rows.map(({ each }) => each.key),
        rows.map(() => randomBytes(32)),
        rows.map(({ entries }) => entries.length),
        rows.map(({ each }) => each.memo),
        rows.map(({ detail }) => detail),
        rows.map(({ each }) => each.actor),
        postings.map(({ key }) => key),
        postings.map(({ line }) => line),
        postings.map(({ id }) => id),
        postings.map(({ amount }) => String(amount)),
      ],
    });
  }

  #idOf(name: string): number {
    const id = this.#accounts.get(name) ?? this.#accounts.size + 1;
    this.#accounts.set(name, id);
    return id;
  }
}

const directory = await mkdtemp(join(tmpdir(), 'iocloud-ledger-bench-'));
const server = await startPostgres({ dataDir: join(directory, 'postgres') });
const { ledger, tenantIds } = await openTrialLedger(server.url, clients, fees, tenants);
const raw = new RawRows(server.url);
try {
  await raw.prepare();
  const first = tenantIds[0] as TenantId;
  const batches = inBatches(async (settlements: Settlement[]) => {
    await raw.insert(settlements, first);
    return settlements;
  });
  const rounds: { ours: number; peer: number; batched: number; alone: number }[] = [];
  // The first, in which connections open and code is compiled, does not count.
  for (let round = 0; round <= Number(options.rounds); round += 1) {
    const ours = await rate(() => ledger.settle(settlement(tenantIds)));
    const peer = await rate(() => raw.insert([settlement(tenantIds)], first));
    const batched = await rate(() => batches.add(settlement(tenantIds)));
    const alone = await rate(() => ledger.settleAll([settlement(tenantIds)]));
    if (round > 0) rounds.push({ ours, peer, batched, alone });
  }
  const batch = 1_000;
  const startedFilling = performance.now();
  let { postings } = await ledger.check();
  const before = postings;
  while (postings < Number(options.postings)) {
    await ledger.settleAll(Array.from({ length: batch }, () => settlement(tenantIds)));
    postings += 5 * batch;
  }
  const fillSeconds = (performance.now() - startedFilling) / 1_000;
  const startedChecking = performance.now();
  const check = await ledger.check();
  const checkSeconds = (performance.now() - startedChecking) / 1_000;
  if (!check.clean) throw new Error(`the ledger does not agree with itself: ${JSON.stringify(check.differences)}`);
  report('ledger', {
    peer: 'the same rows inserted raw by the same clients, each with a commit of its own',
    clients,
    oursPerSecond: median(rounds.map(({ ours }) => ours)),
    peerPerSecond: median(rounds.map(({ peer }) => peer)),
    ratio: median(rounds.map(({ ours, peer }) => ours / peer)),
    aim: '>= 0.5',
    peerInBatchesPerSecond: median(rounds.map(({ batched }) => batched)),
    ratioToPeerInBatches: median(rounds.map(({ ours, batched }) => ours / batched)),
    oursOneByOnePerSecond: median(rounds.map(({ alone }) => alone)),
    ratioOneByOne: median(rounds.map(({ alone, peer }) => alone / peer)),
    filled: { postingsPerSecond: check.postings > before ? (check.postings - before) / fillSeconds : null, batch },
    recomputed: { postings: check.postings, seconds: checkSeconds, postingsPerSecond: check.postings / checkSeconds },
    loadAverage: loadavg()[0],
    cpus: cpus().length,
  });
} finally {
  await raw.pool.end();
  await ledger.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
}
