/** Many machines: so many at a time, each on record, whatever becomes of the others. */
import type { NodeId } from '@iocloud/contracts';
import { CliError } from '../commands/exit.js';
import { duration, table } from '../output.js';
import { enrolMachine, type Means } from './enrol.js';
import type { Target } from './inventory.js';
import type { Records } from './record.js';

export interface Outcome {
  host: string;
  name: string;
  state: 'joined' | 'there already' | 'failed' | 'interrupted';
  nodeId: NodeId | null;
  seconds: number;
  reason: string;
}

export interface Fleet {
  targets: readonly Target[];
  parallel: number;
  timeoutMs: number;
  /** Machines of the tenant: one that is on record as done and not among them has to join again. */
  known: ReadonlySet<string>;
  /** Those on record as done, too. */
  again: boolean;
  records: Records;
  say(line: string): void;
  /** Ctrl-C. */
  signal: AbortSignal;
}

/** Resolves with what became of each, in the order of the targets. Never throws for a machine's sake. */
export async function enrolFleet(fleet: Fleet, means: Means): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const waiting = fleet.targets.entries();
  const work = async () => {
    // All take from one iterator: each machine goes to whoever is free.
    for (const [index, target] of waiting) outcomes[index] = await enrolOne(target, fleet, means);
  };
  await Promise.all(Array.from({ length: Math.min(fleet.parallel, fleet.targets.length) }, work));
  return outcomes;
}

async function enrolOne(target: Target, fleet: Fleet, means: Means): Promise<Outcome> {
  const { records, signal } = fleet;
  const startedMs = means.now();
  const of = (state: Outcome['state'], nodeId: NodeId | null, reason = ''): Outcome => {
    const seconds = Math.round((means.now() - startedMs) / 1_000);
    return { host: target.key, name: target.name, state, nodeId, seconds, reason };
  };
  const say = (words: string) => fleet.say(`${target.key}: ${words}`);
  const keep = async (state: 'running' | 'done' | 'failed' | 'interrupted', nodeId: NodeId | null, reason = '') =>
    records.write(target.key, { state, nodeId, reason, at: new Date(means.now()).toISOString() });
  if (signal.aborted) return of('interrupted', null, 'not begun');
  const timeout = AbortSignal.timeout(fleet.timeoutMs);
  try {
    const before = await records.read(target.key);
    if (before?.state === 'done' && before.nodeId !== null && fleet.known.has(before.nodeId) && !fleet.again) {
      return of('there already', before.nodeId);
    }
    await keep('running', before?.nodeId ?? null);
    say('connecting');
    const nodeId = await enrolMachine(target, means, say, AbortSignal.any([signal, timeout]));
    await keep('done', nodeId);
    return of('joined', nodeId);
  } catch (error) {
    if (signal.aborted) {
      await keep('interrupted', null);
      return of('interrupted', null);
    }
    const reason = timeout.aborted ? `not done within ${duration(fleet.timeoutMs)} (--timeout)` : wordsOf(error);
    say(reason);
    await keep('failed', null, reason);
    return of('failed', null, reason);
  }
}

const wordsOf = (error: unknown): string =>
  error instanceof CliError ? error.message : `a fault in iocloud itself: ${String(error)}`;

export const outcomeTable = (outcomes: readonly Outcome[]): string =>
  table(
    ['host', 'name', 'state', 'node', 'took', 'why'],
    outcomes.map(({ host, name, state, nodeId, seconds, reason }) => [
      host,
      name,
      state,
      nodeId ?? '',
      duration(seconds * 1_000),
      reason,
    ]),
  );
