/**
 * (a) The close of an hour: leases with ten accelerators each, from what is on record and from agents' samples to lines of
 * usage, for several sizes. (e) Usage events a second that come in over HTTP in batches, each batch durable and each event
 * once for ever, and beside them the same rows by COPY into the same table without the rest; then all of it once more.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { startPostgres } from '@iocloud/cli';
import type { LeaseId } from '@iocloud/contracts';
import { openTrialMetering, type TrialMetering } from '@iocloud/control-plane/metering/testing';
import { median, report } from './measure.js';

const { values: options } = parseArgs({
  options: {
    leases: { type: 'string', default: '5000,10000,20000' },
    batch: { type: 'string', default: '5000' },
    batches: { type: 'string', default: '24' },
    clients: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
  },
});
const [batchSize, batches, clients] = [Number(options.batch), Number(options.batches), Number(options.clients)];
const hourMs = 3_600_000;
const hour = Math.floor(Date.now() / hourMs) * hourMs;
const agent = new Agent({ keepAlive: true });

/** Each item by one of the clients, each one after the other; in seconds. */
async function timed<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<number> {
  const left = [...items];
  const started = performance.now();
  const client = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: clients }, client));
  return (performance.now() - started) / 1_000;
}

async function send(
  { address, apiKey }: TrialMetering,
  payload: string,
): Promise<{ accepted: number; duplicates: number }> {
  const sent = request(`http://${address}/v1/usage/events`, {
    method: 'POST',
    agent,
    headers: {
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/cloudevents-batch+json',
      'content-length': Buffer.byteLength(payload),
    },
  });
  sent.end(payload);
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve);
    sent.on('error', reject);
  });
  const answer = await text(response);
  if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${answer}`);
  return JSON.parse(answer);
}

interface Event {
  id: string;
  leaseId: LeaseId;
}
const from = new Date(hour - hourMs).toISOString();
const until = new Date(hour).toISOString();
const source = '/racks/7';
const asCloudEvent = ({ id, leaseId }: Event) => ({
  ...{ specversion: '1.0', id, source, type: 'iocloud.usage.v1', subject: leaseId, time: until },
  data: { leaseId, from, until, cpuMs: 1_000, mibSeconds: 2_000, egressBytes: 3_000 },
});

async function closeHours(
  metering: TrialMetering,
): Promise<{ leases: number; accelerators: number; seconds: number }[]> {
  const found = [];
  for (const leases of options.leases.split(',').map(Number)) {
    for (let made = 0; made < leases; made += 5_000) {
      await metering.addLeases(Math.min(5_000, leases - made), new Date(hour - hourMs));
    }
    await metering.database.query('ANALYZE');
    const started = performance.now();
    const looked = await metering.meterAll({ windowSeconds: 3_600, graceSeconds: 0 });
    if (looked !== leases) throw new Error(`${looked} leases were looked at, not ${leases}`);
    found.push({ leases, accelerators: leases * 10, seconds: (performance.now() - started) / 1_000 });
  }
  return found;
}

async function takeEvents(metering: TrialMetering, directory: string) {
  const leaseIds = await metering.addLeases(1_000, new Date(hour - hourMs));
  await metering.database.query('CREATE TABLE raw_usage_events (LIKE usage_events INCLUDING ALL)');
  const { rows } = await metering.database.query<{ tenant_id: string }>('SELECT tenant_id FROM leases LIMIT 1');
  const tenantId = rows[0]?.tenant_id ?? '';
  const rounds: { ours: number; peer: number; again: number }[] = [];
  let sent = 0;
  for (let round = 0; round <= Number(options.rounds); round += 1) {
    const lots = Array.from({ length: batches }, () =>
      Array.from({ length: batchSize }, (_, index): Event => {
        return { id: randomUUID(), leaseId: leaseIds[index % leaseIds.length] as LeaseId };
      }),
    );
    const payloads = lots.map(lot => JSON.stringify(lot.map(asCloudEvent)));
    const files = await Promise.all(
      lots.map(async (lot, index) => {
        const file = join(directory, `lot-${index}.tsv`);
        const row = ({ id, leaseId }: Event) =>
          [tenantId, source, id, leaseId, from, until, 1_000, 2_000, 3_000, 'f', until].join('\t');
        await writeFile(file, `${lot.map(row).join('\n')}\n`, { mode: 0o644 });
        return file;
      }),
    );
    const count = batches * batchSize;
    sent += count;
    const taken = { accepted: 0, duplicates: 0 };
    const take = async (payload: string) => {
      const { accepted, duplicates } = await send(metering, payload);
      taken.accepted += accepted;
      taken.duplicates += duplicates;
    };
    const peer = count / (await timed(files, file => metering.database.query(`COPY raw_usage_events FROM '${file}'`)));
    const ours = count / (await timed(payloads, take));
    const again = count / (await timed(payloads, take));
    if (taken.accepted !== count || taken.duplicates !== count)
      throw new Error(`not once each: ${JSON.stringify(taken)}`);
    if (round > 0) rounds.push({ ours, peer, again });
  }
  const { rows: counted } = await metering.database.query<{ count: number }>(
    'SELECT count(*) AS count FROM usage_events',
  );
  if (counted[0]?.count !== sent) throw new Error(`${counted[0]?.count} events are on record, not ${sent}`);
  return { rounds, onRecord: sent };
}

const directory = await mkdtemp(join(tmpdir(), 'iocloud-usage-bench-'));
await chmod(directory, 0o755);
const server = await startPostgres({ dataDir: join(directory, 'postgres') });
const metering = await openTrialMetering(server.url);
try {
  const hours = await closeHours(metering);
  const { rounds, onRecord } = await takeEvents(metering, directory);
  report('usage', {
    hourClose: hours.map(one => ({ ...one, leasesPerSecond: one.leases / one.seconds })),
    events: {
      peer: 'COPY of the same rows, file by file, into a table with the same keys and indexes',
      clients,
      batch: batchSize,
      oursPerSecond: median(rounds.map(({ ours }) => ours)),
      peerPerSecond: median(rounds.map(({ peer }) => peer)),
      ratio: median(rounds.map(({ ours, peer }) => ours / peer)),
      sentAgainPerSecond: median(rounds.map(({ again }) => again)),
      aim: '>= 20000 a second',
      onRecord,
    },
    loadAverage: loadavg()[0],
    cpus: cpus().length,
  });
} finally {
  await metering.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
}
