/** `iocloud cluster …` */
import { randomUUID } from 'node:crypto';
import type { ChangeCluster, Cluster, ClusterId, Requirements } from '@iocloud/contracts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { duration } from '../output.js';
import { type LimitOptions, limitsOf, withLimitOptions } from './cluster-limits.js';
import { clusterDetails, clusterTable } from './cluster-render.js';
import { type CreateOptions, clusterSpecOf, requirementsOf, withSpecOptions } from './cluster-spec.js';
import { type Goal, waitForCluster } from './cluster-wait.js';
import { CliError } from './exit.js';
import { explanationInWords } from './explain-render.js';
import { collectPairs, parseCount, parseSeconds } from './quantities.js';
import { argument, type CommonOptions, type Context, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

interface WaitOptions extends CommonOptions {
  wait?: boolean;
  timeout: number;
}

/** By id, or by the name of a cluster that is not deleted. */
export async function findCluster(client: Client, reference: string): Promise<Cluster> {
  if (/^cl_[0-9a-z]{20}$/.test(reference)) return client.call('getCluster', { params: { clusterId: reference } });
  for await (const cluster of client.list('listClusters')) if (cluster.spec.name === reference) return cluster;
  throw new CliError('notFound', `no cluster is named ${reference}; \`iocloud cluster list\` shows those there are`);
}

export function clusterCommands(program: Command, terminal: Terminal): void {
  const group = program.command('cluster').description('Ray clusters');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));
  const waiting = (command: Command, what: string) =>
    command
      .option('--wait', `wait until it is ${what}, showing its events`)
      .option('--timeout <time>', 'how long to wait', argument(parseSeconds), 600);

  withSpecOptions(waiting(leaf('create', 'create a cluster'), 'ready')).action((options: WaitOptions & CreateOptions) =>
    run(terminal, options, async context => {
      const body = await clusterSpecOf(options, terminal);
      const made = await context.client.call('createCluster', { body, idempotencyKey: randomUUID() });
      await finish(context, made, options, 'ready', `${made.spec.name} (${made.id}) is being made`);
    }),
  );

  withSpecOptions(leaf('explain', 'dry run of create: where it could stand, at what price, or why nowhere')).action(
    (options: CommonOptions & CreateOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const body = await clusterSpecOf({ name: 'unnamed', ...options }, terminal);
        const explanation = await client.call('explainCluster', { body });
        show(explanation, () => explanationInWords(explanation, terminal.now()));
      }),
  );

  leaf('list', 'clusters, newest first')
    .option('--deleted', 'with the deleted ones')
    .action((options: CommonOptions & { deleted?: boolean }) =>
      run(terminal, options, async ({ client, show }) => {
        const clusters = await collect(client.list('listClusters', { deleted: options.deleted ?? false }));
        show(clusters, () => clusterTable(clusters, terminal.now()));
      }),
    );

  leaf('show <cluster>', 'one cluster (name or id): state, conditions, Ray nodes').action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const cluster = await findCluster(client, reference);
        show(cluster, () => clusterDetails(cluster, terminal.now()));
      }),
  );

  withLimitOptions(
    leaf('update <cluster>', 'change its budget, time or priority; or what it requires, while it waits for a machine'),
  )
    .option('--require <key=value>', 'add or change a requirement, such as country=DE (repeatable)', collectPairs)
    .option('--require-nothing', 'take all its requirements back; those of --require then stand alone')
    .option('--idle-timeout <time>', 'delete it after so long without a job; or none')
    .action((reference: string, options: CommonOptions & UpdateOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const { id, spec } = await findCluster(client, reference);
        const body = await changesOf(options, spec.requirements ?? {}, terminal.now());
        if (Object.keys(body).length === 0)
          throw new CliError('usage', 'nothing to change; `iocloud cluster update --help`');
        const changed = await client.call('changeCluster', { params: { clusterId: id }, body });
        show(changed, () => clusterDetails(changed, terminal.now()));
      }),
    );

  waiting(leaf('scale <cluster> <group> <count>', 'set the size of a worker group'), 'so')
    .option('--min <n>', 'and the lower bound of its autoscaling', argument(parseCount))
    .option('--max <n>', 'and the upper bound; 0 ends its autoscaling', argument(parseCount))
    .action((reference: string, name: string, count: string, options: WaitOptions & { min?: number; max?: number }) =>
      run(terminal, options, async context => {
        const body = {
          group: name,
          count: parseCount(count),
          ...(options.min === undefined ? {} : { minCount: options.min }),
          ...(options.max === undefined ? {} : { maxCount: options.max === 0 ? null : options.max }),
        };
        const { id } = await findCluster(context.client, reference);
        const changed = await context.client.call('scaleCluster', {
          params: { clusterId: id },
          body,
          idempotencyKey: randomUUID(),
        });
        await finish(context, changed, options, 'ready', `${changed.spec.name}: ${name} is to have ${count} Ray nodes`);
      }),
    );

  const change =
    (operation: 'startCluster' | 'stopCluster', goal: Goal, words: string) =>
    async (reference: string, options: WaitOptions) =>
      run(terminal, options, async context => {
        const { id } = await findCluster(context.client, reference);
        const changed = await context.client.call(operation, {
          params: { clusterId: id },
          idempotencyKey: randomUUID(),
        });
        await finish(context, changed, options, goal, `${changed.spec.name} ${words}`);
      });
  waiting(leaf('start <cluster>', 'start a stopped cluster'), 'ready').action(
    change('startCluster', 'ready', 'is being started'),
  );
  waiting(leaf('stop <cluster>', 'free its machines, keep the cluster'), 'stopped').action(
    change('stopCluster', 'stopped', 'is being stopped; `iocloud cluster start` brings it back'),
  );

  waiting(leaf('delete <cluster>', 'delete a cluster'), 'deleted')
    .option('-y, --yes', 'do not ask')
    .action((reference: string, options: WaitOptions & { yes?: boolean }) =>
      run(terminal, options, async context => {
        const cluster = await findCluster(context.client, reference);
        await confirmDeletion(terminal, cluster, options.yes ?? false);
        const changed = await context.client.call('deleteCluster', {
          params: { clusterId: cluster.id },
          idempotencyKey: randomUUID(),
        });
        await finish(context, changed, options, 'deleted', `${cluster.spec.name} (${cluster.id}) is being deleted`);
      }),
    );

  leaf('dashboard <cluster>', 'a short-lived link that logs a browser in to its Ray dashboard').action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show, progress }) => {
        const { id } = await findCluster(client, reference);
        const link = await client.call('createDashboardLink', { params: { clusterId: id } });
        const url = new URL(link.url, client.address).href;
        show({ ...link, url }, () => url);
        progress(
          `good until ${link.expiresAt} (${duration(Date.parse(link.expiresAt) - terminal.now())}); who has it is let in`,
        );
      }),
  );
}

interface UpdateOptions extends LimitOptions {
  require?: Record<string, string>;
  requireNothing?: boolean;
  idleTimeout?: string;
}

async function changesOf(options: UpdateOptions, before: Requirements, nowMs: number): Promise<ChangeCluster> {
  const { require: pairs, requireNothing, idleTimeout } = options;
  const kept = requireNothing ? {} : before;
  const wished = pairs ? { ...kept, ...(await requirementsOf(pairs)) } : null;
  return {
    ...limitsOf(options, nowMs),
    ...(pairs || requireNothing ? { requirements: wished } : {}),
    ...(idleTimeout === undefined
      ? {}
      : { idleTimeoutSeconds: idleTimeout === 'none' ? null : parseSeconds(idleTimeout) }),
  };
}

async function finish(context: Context, cluster: Cluster, options: WaitOptions, goal: Goal, words: string) {
  if (!options.wait) {
    context.show(cluster, () => words);
    return;
  }
  context.progress(words);
  const done = await waitForCluster(context, cluster.id as ClusterId, goal, options.timeout);
  context.show(done, () =>
    goal === 'deleted' ? `${done.spec.name} is deleted` : clusterDetails(done, context.terminal.now()),
  );
}

async function confirmDeletion(terminal: Terminal, cluster: Cluster, yes: boolean): Promise<void> {
  if (yes) return;
  const what = `the cluster ${cluster.spec.name} (${cluster.id}) with ${cluster.leases.length} Ray nodes; jobs that run there are lost`;
  if (!terminal.interactive) throw new CliError('usage', `this deletes ${what}: add --yes`);
  const answer = await terminal.ask(`Delete ${what}? Type its name: `);
  if (answer !== cluster.spec.name) throw new CliError('interrupted', 'nothing was deleted');
}
