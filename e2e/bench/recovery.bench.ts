/**
 * Real faults under running jobs on real Ray. Several lanes side by side (recovery/lane.ts), the kinds of fault in turn
 * (recovery/kinds.ts); each job must succeed once, and go on from its checkpoint. A few take minutes; two hundred, by hand,
 * the better part of an hour:
 *
 *     --faults N    how many are struck in all (16)
 *     --lanes N     side by side, 2 to 3 GiB of memory each (2)
 *     --minutes N   after which no further fault is struck (50)
 *     --kinds A,B   only these
 *
 * Detected: from the fault to the event that puts it on record (for a machine: that it cannot be reached). Given up: to the
 * end of its attempt. Back: to the job's first line after it. One line for each fault on stderr. The exit code is 1 unless
 * all were struck and recovered. A signal ends it early, with what there is.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { networkObstacle, Stack } from '../src/harness/index.js';
import { percentile, report } from './measure.js';
import { type Kind, kinds } from './recovery/kinds.js';
import { Lane, type Outcome } from './recovery/lane.js';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '16' },
    lanes: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '50' },
    kinds: { type: 'string', default: Object.keys(kinds).join(',') },
  },
});
const wanted = Number(values.faults);
const minutes = Number(values.minutes);
const chosen = values.kinds.split(',').map((name): [string, Kind] => {
  const kind = kinds[name];
  if (!kind) throw new Error(`--kinds: there are ${Object.keys(kinds).join(', ')}, and no ${name}`);
  return [name, kind];
});
/** A fault that is being struck may still come to its end; then it is over. */
const lastMinutes = 5;

interface Struck {
  kind: string;
  outcome: Outcome | null;
}

const startedAtMs = Date.now();
const struck: Struck[] = [];
let next = 0;

const seconds = (ms: number | null) => (ms === null ? '-' : `${(ms / 1_000).toFixed(1)} s`);
function say(words: string): void {
  const at = new Date(Date.now() - startedAtMs).toISOString().slice(11, 19);
  process.stderr.write(`${at} ${words}\n`);
}

async function work(lane: Lane): Promise<void> {
  while (next < wanted && Date.now() - startedAtMs < minutes * 60_000) {
    const n = next;
    next += 1;
    const [name, kind] = chosen[n % chosen.length] ?? chosen[0] ?? ['head', kinds.head as Kind];
    const id = `fault-${n}`;
    try {
      const outcome = await lane.strike(id, kind);
      struck.push({ kind: name, outcome });
      const { detectedMs, givenUpMs, backMs } = outcome;
      say(
        `[${struck.length}/${wanted}] lane ${lane.number} ${name}: detected ${seconds(detectedMs)}, given up ${seconds(givenUpMs)}, back ${seconds(backMs)}`,
      );
    } catch (error) {
      struck.push({ kind: name, outcome: null });
      say(`[${struck.length}/${wanted}] lane ${lane.number} ${name}: NOT RECOVERED (${id}): ${String(error)}`);
      await lane.restore(id);
    }
  }
}

const spread = (all: (number | null)[]) => {
  const list = all.filter(value => value !== null);
  if (list.length === 0) return null;
  return { p50: percentile(list, 50), p95: percentile(list, 95), most: Math.max(...list) };
};
function summary(among: Struck[]) {
  const outcomes = among.flatMap(({ outcome }) => (outcome ? [outcome] : []));
  return {
    struck: among.length,
    recovered: outcomes.length,
    detectedMs: spread(outcomes.map(({ detectedMs }) => detectedMs)),
    givenUpMs: spread(outcomes.map(({ givenUpMs }) => givenUpMs)),
    backMs: spread(outcomes.map(({ backMs }) => backMs)),
  };
}

const cutShort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => cutShort.abort(signal));
const overtime = setTimeout(() => cutShort.abort('its time is over'), (minutes + lastMinutes) * 60_000);

const ownNetwork = networkObstacle() === null;
const everywhere: Record<string, string> = ownNetwork ? { IOCLOUD_SSH_HOST: '0.0.0.0' } : {};
const stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1', ...everywhere } });
try {
  const lanes: Lane[] = [];
  const all = async () => {
    for (let number = 0; number < Number(values.lanes); number += 1)
      lanes.push(await Lane.up(stack, number, ownNetwork));
    const ends = await Promise.allSettled(lanes.map(work));
    for (const end of ends) if (end.status === 'rejected') say(`a lane could not go on: ${String(end.reason)}`);
  };
  await Promise.race([all(), once(cutShort.signal, 'abort').then(() => say(`cut short: ${cutShort.signal.reason}`))]);
} finally {
  clearTimeout(overtime);
  const all = summary(struck);
  report('recovery', {
    wanted,
    ...all,
    minutes: (Date.now() - startedAtMs) / 60_000,
    lanes: Number(values.lanes),
    aim: 'all recovered; detected <= 5000; back p95 <= 30000',
    byKind: Object.fromEntries(chosen.map(([name]) => [name, summary(struck.filter(({ kind }) => kind === name))])),
  });
  await stack.stop();
  process.exitCode = all.recovered === wanted ? 0 : 1;
}
