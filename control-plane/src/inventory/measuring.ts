/**
 * Measures the connections of machines: round trip and rates, over the agent's own connection, at enrolment and about
 * daily. The control plane holds the clock, and a digest proves what arrived, so that a machine can seem slower than it
 * is, but not faster. At most a few MiB and about a second each; see `measure` in the agent protocol.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { longestMeasureBytes, type Measurement, type NodeId } from '@iocloud/contracts';
import { ByteReader } from '@iocloud/contracts/wire';
import { enough } from '../core/matching/index.js';
import { type Database, type Logger, Recurring, wake } from '../platform/index.js';
import type { Machines } from './ports.js';

const digestBytes = 32;
const roundTrips = 7;
const firstBytes = 16 * 1_024;
const growth = 4;
/** A round that took so long is the last: the next would take `growth` times as long, and heartbeats wait behind it. */
const lastRoundMs = 200;

/** Takes the stream over and ends it. Rejects where it breaks, or where what came back is not what was sent. */
export async function measure(stream: Duplex, clockMs = () => performance.now()): Promise<Omit<Measurement, 'at'>> {
  const reader = new ByteReader(stream);
  const round = async (down: number, up: number): Promise<number> => {
    const [head, bytes] = [Buffer.alloc(8), randomBytes(down)];
    head.writeUInt32BE(down, 0);
    head.writeUInt32BE(up, 4);
    const sentAt = clockMs();
    stream.write(Buffer.concat([head, bytes]));
    const answer: Buffer[] = [];
    await reader.take(digestBytes, piece => answer.push(piece));
    if (!(await reader.take(up, () => undefined))) throw new Error('the measurement was broken off');
    const tookMs = clockMs() - sentAt;
    const expected = createHash('sha256').update(bytes).digest();
    if (!Buffer.concat(answer).equals(expected)) throw new Error('other bytes arrived than were sent');
    return tookMs;
  };

  let roundTripMs = Number.POSITIVE_INFINITY;
  for (let count = 0; count < roundTrips; count += 1) roundTripMs = Math.min(roundTripMs, await round(0, 0));
  /** Of the round that shows most. Its round trip counts as a part of the transfer: so no rate seems higher than it is. */
  const rate = async (of: (bytes: number) => Promise<number>): Promise<number> => {
    let mbps = 0;
    for (let bytes = firstBytes, tookMs = 0; bytes <= longestMeasureBytes && tookMs < lastRoundMs; bytes *= growth) {
      tookMs = await of(bytes);
      mbps = Math.max(mbps, (bytes * 8) / 1_000 / tookMs);
    }
    return mbps;
  };
  const downloadMbps = await rate(bytes => round(bytes, 0));
  const uploadMbps = await rate(bytes => round(0, bytes));
  stream.end();
  const rounded = (value: number) => Number(value.toPrecision(3));
  return { roundTripMs: rounded(roundTripMs), downloadMbps: rounded(downloadMbps), uploadMbps: rounded(uploadMbps) };
}

const lookIntervalMs = 5_000;
const daySeconds = 86_400;
/** One that has not been measured often enough, or could not be, has its turn again after this. */
const againSeconds = 300;
/** All that a measurement may take, with a connection that hangs. */
const limitMs = 20_000;

interface Wiring {
  database: Database;
  machines: Pick<Machines, 'openStream'>;
  log: Logger;
  /** Between 0 and 1. */
  random(): number;
}

/** Takes one machine after the other, so that none of them slows another's measurement. */
export const measuringSweep = (wiring: Wiring): Recurring =>
  new Recurring(
    'measuring',
    lookIntervalMs,
    async isStopped => {
      while (!isStopped() && (await measureNext(wiring)) !== null);
    },
    error => wiring.log.warn({ err: error }, 'machines could not be measured; again soon'),
  );

/** The machine that is due for longest, or null where none is. */
export async function measureNext(wiring: Wiring): Promise<NodeId | null> {
  const { database, machines, log, random } = wiring;
  // Claimed before it is measured: no other process takes it, and a failure waits for its time like any other.
  const { rows } = await database.query<{ id: NodeId }>(
    `UPDATE nodes SET measure_at = now() + make_interval(secs => $1) WHERE id = (
         SELECT id FROM nodes WHERE online AND removed_at IS NULL AND provider_id IS NULL AND measure_at <= now()
         ORDER BY measure_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id`,
    [againSeconds * (0.5 + random())],
  );
  const nodeId = rows[0]?.id;
  if (nodeId === undefined) return null;
  try {
    const stream = await machines.openStream(nodeId, { kind: 'measure' });
    const limit = setTimeout(() => stream.destroy(new Error(`not done within ${limitMs / 1_000} s`)), limitMs);
    const sample = await measure(stream).finally(() => {
      clearTimeout(limit);
      stream.destroy();
    });
    await keep(wiring, nodeId, { ...sample, at: new Date().toISOString() });
  } catch (error) {
    log.info({ nodeId, error: String(error) }, 'a connection could not be measured; again later');
  }
  return nodeId;
}

async function keep({ database, random }: Wiring, nodeId: NodeId, sample: Measurement): Promise<void> {
  await database.transaction(async tx => {
    await tx.query(
      `UPDATE nodes SET measured = jsonb_path_query_array(measured || $2::jsonb, 'lax $[last - $older to last]', $3),
           measure_at = now() + make_interval(secs => CASE WHEN jsonb_array_length(measured) + 1 < $4 THEN $5::float8 ELSE $6 END)
         WHERE id = $1`,
      [
        nodeId,
        JSON.stringify([sample]),
        JSON.stringify({ older: enough - 1 }),
        enough,
        againSeconds,
        daySeconds * (0.75 + random() / 2),
      ],
    );
    // Jobs that ask for a tier may find a machine now.
    await wake(tx, 'dispatch', 'all');
  });
}
