/** `iocloud mega-cluster …` */
import { randomUUID } from 'node:crypto';
import type { MegaCluster, megaClusterSpec } from '@iocloud/contracts';
import type { Command } from 'commander';
import type { z } from 'zod';
import { collect } from '../client.js';
import { duration } from '../output.js';
import { type NodeOptions, nodesOf, readSpec, withNodeOptions } from './cluster-spec.js';
import { CliError } from './exit.js';
import { megaDetails, megaTable } from './mega-render.js';
import { parseCount, parseSeconds } from './quantities.js';
import { argument, type CommonOptions, type Context, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

type SpecInput = z.input<typeof megaClusterSpec>;

interface SpecOptions extends NodeOptions {
  file?: string;
  name?: string;
  cells?: number;
  maxUnavailable?: number;
  drain?: number;
  spread?: string;
}

interface WaitOptions extends CommonOptions {
  wait?: boolean;
  timeout: number;
}

type Goal = 'ready' | 'deleted';
const lookIntervalMs = 1_000;

export function megaClusterCommands(program: Command, terminal: Terminal): void {
  const group = program
    .command('mega-cluster')
    .description('Mega-Ray clusters: many Ray clusters ("cells") behind one Jobs address');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));
  const waiting = (command: Command, what: string) =>
    command
      .option('--wait', `wait until it is ${what}`)
      .option('--timeout <time>', 'how long to wait', argument(parseSeconds), 600);
  const shaped = (command: Command) =>
    withNodeOptions(command)
      .option('--max-unavailable <n>', 'cells that an update takes down at once (1)', argument(parseCount))
      .option('--drain <time>', 'a cell that goes is deleted after so long at the latest (5m)', argument(parseSeconds))
      .option(
        '--spread <domain>',
        'apart by machine, domain, region, country or supplier (domain); none; or region=required',
      );

  shaped(waiting(leaf('create', 'create a Mega-Ray cluster'), 'ready'))
    .option('-f, --file <file>', 'its specification as JSON (- reads standard input); options win over it')
    .option('--name <name>', 'its name: lower-case letters, digits, hyphens')
    .option('--cells <n>', 'how many cells', argument(parseCount))
    .action((options: WaitOptions & SpecOptions) =>
      run(terminal, options, async context => {
        const body = await specOf(options, terminal);
        const made = await context.client.call('createMegaCluster', { body, idempotencyKey: randomUUID() });
        await finish(context, made, options, 'ready', `${made.spec.name} (${made.id}) is being made`);
      }),
    );

  leaf('list', 'Mega-Ray clusters, newest first').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const clusters = await collect(client.list('listMegaClusters'));
      show(clusters, () => megaTable(clusters, terminal.now()));
    }),
  );

  leaf('show <cluster>', 'one Mega-Ray cluster (name or id): its state and that of each cell').action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const mega = await client.call('getMegaCluster', { params: { megaCluster: reference } });
        show(mega, () => megaDetails(mega, client.address, terminal.now()));
      }),
  );

  waiting(leaf('scale <cluster> <cells>', 'set how many cells it has; idle ones go first'), 'so').action(
    (reference: string, cells: string, options: WaitOptions) =>
      run(terminal, options, async context => {
        const params = { megaCluster: reference };
        const changed = await context.client.call('changeMegaCluster', { params, body: { cells: parseCount(cells) } });
        await finish(context, changed, options, 'ready', `${changed.spec.name} is to have ${changed.spec.cells} cells`);
      }),
  );

  shaped(waiting(leaf('update <cluster>', 'change what its cells are: they are replaced, few at a time'), 'so')).action(
    (reference: string, options: WaitOptions & SpecOptions) =>
      run(terminal, options, async context => {
        const params = { megaCluster: reference };
        const { spec } = await context.client.call('getMegaCluster', { params });
        const nodes = await nodesOf(options, spec.cell);
        const cell = Object.keys(nodes).length > 0 ? { cell: { ...spec.cell, ...nodes } } : {};
        const body = { ...termsOf(options), ...cell };
        if (Object.keys(body).length === 0) {
          throw new CliError('usage', 'nothing to change; `iocloud mega-cluster update --help`');
        }
        const changed = await context.client.call('changeMegaCluster', { params, body });
        await finish(context, changed, options, 'ready', `${changed.spec.name} is being changed`);
      }),
  );

  waiting(leaf('delete <cluster>', 'delete a Mega-Ray cluster with all its cells'), 'deleted')
    .option('-y, --yes', 'do not ask')
    .action((reference: string, options: WaitOptions & { yes?: boolean }) =>
      run(terminal, options, async context => {
        const params = { megaCluster: reference };
        const mega = await context.client.call('getMegaCluster', { params });
        await confirmDeletion(terminal, mega, options.yes ?? false);
        const changed = await context.client.call('deleteMegaCluster', { params, idempotencyKey: randomUUID() });
        await finish(context, changed, options, 'deleted', `${mega.spec.name} (${mega.id}) is being deleted`);
      }),
    );

  leaf('dashboard <cluster>', 'a short-lived link that logs a browser in to the index of its cells’ dashboards').action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show, progress }) => {
        const link = await client.call('createMegaDashboardLink', { params: { megaCluster: reference } });
        const url = new URL(link.url, client.address).href;
        show({ ...link, url }, () => url);
        progress(
          `good until ${link.expiresAt} (${duration(Date.parse(link.expiresAt) - terminal.now())}); who has it is let in`,
        );
      }),
  );
}

/** The file is the base, options win over it. */
async function specOf(options: SpecOptions, terminal: Terminal): Promise<SpecInput> {
  const base = options.file === undefined ? {} : await readSpec<SpecInput>(options.file, terminal);
  const { name = base.name, cells = base.cells } = options;
  if (name === undefined) throw new CliError('usage', 'it needs a name: --name NAME, or -f FILE with one');
  if (cells === undefined) throw new CliError('usage', 'it needs a number of cells: --cells N, or -f FILE with one');
  const cell = { ...base.cell, ...(await nodesOf(options, base.cell ?? {})) };
  return { ...base, name, cells, cell, ...termsOf(options) };
}

function termsOf({ maxUnavailable, drain, spread }: SpecOptions) {
  return {
    ...(maxUnavailable === undefined ? {} : { maxUnavailable }),
    ...(drain === undefined ? {} : { drainSeconds: drain }),
    ...(spread === undefined ? {} : { spread: spreadOf(spread) }),
  };
}

function spreadOf(text: string): SpecInput['spread'] {
  if (text === 'none') return null;
  const [by, mode = 'preferred'] = text.split('=');
  // The contract says which there are.
  return { by, mode } as SpecInput['spread'];
}

async function finish(context: Context, mega: MegaCluster, options: WaitOptions, goal: Goal, words: string) {
  const { show, terminal, client } = context;
  if (!options.wait) {
    show(mega, () => words);
    return;
  }
  context.progress(words);
  const done = await waitFor(context, mega, goal, options.timeout);
  show(done, () =>
    goal === 'deleted' ? `${done.spec.name} is deleted` : megaDetails(done, client.address, terminal.now()),
  );
}

function isReached(mega: MegaCluster, goal: Goal): boolean {
  if (mega.observedGeneration < mega.generation) return false;
  if (goal === 'deleted') return mega.phase === 'deleted';
  const { cells, spec } = mega;
  return mega.phase === 'ready' && cells.length === spec.cells && cells.every(({ upToDate }) => upToDate);
}

/** Throws CliError 'timedOut'; leaving early (Ctrl-C) changes nothing about it. */
async function waitFor(
  { client, terminal, progress }: Context,
  { id, spec }: MegaCluster,
  goal: Goal,
  timeoutSeconds: number,
): Promise<MegaCluster> {
  const deadline = terminal.now() + timeoutSeconds * 1_000;
  let said = '';
  for (;;) {
    if (terminal.signal.aborted) throw new CliError('interrupted', 'no longer waiting; it goes on by itself');
    const mega = await client.call('getMegaCluster', { params: { megaCluster: id } });
    if (isReached(mega, goal)) return mega;
    const unmet = mega.conditions.filter(({ status }) => status !== 'True').map(({ message }) => message);
    const obstacle = [...new Set(unmet)].join('; ');
    if (obstacle !== said) progress(obstacle);
    said = obstacle;
    if (terminal.now() >= deadline) {
      throw new CliError(
        'timedOut',
        `${spec.name} is not ${goal} after ${timeoutSeconds} s: ${obstacle || mega.phase}`,
      );
    }
    await terminal.pause(lookIntervalMs);
  }
}

async function confirmDeletion(terminal: Terminal, mega: MegaCluster, yes: boolean): Promise<void> {
  if (yes) return;
  const what = `the Mega-Ray cluster ${mega.spec.name} (${mega.id}) with ${mega.cells.length} cells; jobs that run there are lost`;
  if (!terminal.interactive) throw new CliError('usage', `this deletes ${what}: add --yes`);
  const answer = await terminal.ask(`Delete ${what}? Type its name: `);
  if (answer !== mega.spec.name) throw new CliError('interrupted', 'nothing was deleted');
}
