/** Waiting until a cluster is as wished, with its events as progress. */
import type { Cluster, ClusterId } from '@iocloud/contracts';
import { duration } from '../output.js';
import { followEvents } from './event-stream.js';
import { CliError } from './exit.js';
import type { Context } from './run.js';

export type Goal = 'ready' | 'stopped' | 'deleted';

/** Has the cluster come to what its last change asked for? */
export function reached(cluster: Cluster, goal: Goal): boolean {
  if (cluster.observedGeneration < cluster.generation) return false;
  if (goal === 'ready') {
    return (
      cluster.phase === 'ready' &&
      !cluster.conditions.some(condition => condition.type === 'WorkersReady' && condition.status !== 'True')
    );
  }
  return cluster.phase === goal;
}

/** What still holds it up, in the words of its conditions. */
export function obstacles(cluster: Cluster): string {
  const words = cluster.conditions
    .filter(
      condition => condition.status !== 'True' && condition.type !== 'NetworkIsolated' && condition.message !== '',
    )
    .map(condition => `${condition.type}: ${condition.message}`);
  return words.join('; ') || `it is ${cluster.phase}`;
}

const lookIntervalMs = 1_000;

/** Throws CliError 'timedOut'; leaving early (Ctrl-C) changes nothing about the cluster. */
export async function waitForCluster(
  context: Context,
  clusterId: ClusterId,
  goal: Goal,
  timeoutSeconds: number,
): Promise<Cluster> {
  const { client, terminal, progress } = context;
  const started = terminal.now();
  const deadline = started + timeoutSeconds * 1000;
  const stop = new AbortController();
  const signal = AbortSignal.any([terminal.signal, stop.signal]);
  const told = tellEvents(context, clusterId, signal);
  try {
    let said = '';
    for (;;) {
      if (terminal.signal.aborted)
        throw new CliError('interrupted', 'no longer waiting; the cluster goes on by itself');
      const cluster = await client.call('getCluster', { params: { clusterId } });
      if (reached(cluster, goal)) {
        progress(`${cluster.spec.name} is ${goal} after ${duration(terminal.now() - started)}`);
        return cluster;
      }
      if (goal !== 'deleted' && cluster.desired === 'deleted') {
        throw new CliError('conflict', `${cluster.spec.name} is being deleted by somebody else`);
      }
      const obstacle = obstacles(cluster);
      if (obstacle !== said) progress(`${cluster.phase}: ${obstacle}`);
      said = obstacle;
      if (terminal.now() > deadline) {
        const waited = duration(timeoutSeconds * 1000);
        throw new CliError(
          'timedOut',
          `${cluster.spec.name} is not ${goal} after ${waited}: ${obstacle}. It goes on trying.`,
        );
      }
      await terminal.pause(lookIntervalMs);
    }
  } finally {
    stop.abort();
    await told;
  }
}

/** Events are for show: without the right to read them the wait goes on by looking at the cluster. */
async function tellEvents(
  { client, terminal, progress }: Context,
  subject: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const event of followEvents(client, { subject, signal, pause: terminal.pause })) {
      progress(`${event.at.slice(11, 19)}  ${event.message}`);
    }
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    progress(`(no live events: ${error.message})`);
  }
}
