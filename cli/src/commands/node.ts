/** `iocloud node …` */
import type { Node } from '@iocloud/contracts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { age, bytes, facts, table } from '../output.js';
import { CliError } from './exit.js';
import { nodeLoadInWords } from './load-render.js';
import { devicesInWords, deviceTables } from './node-devices.js';
import { enrolmentCommands } from './node-enrolment.js';
import { telemetryCommand } from './node-telemetry.js';
import { changedTerms, connectionInWords, type TermOptions, termLines, withTermOptions } from './node-terms.js';
import { parseSeconds } from './quantities.js';
import { type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';
import { verificationCommands } from './verification.js';

export function nodeTable(nodes: readonly Node[], nowMs: number): string {
  if (nodes.length === 0) {
    return 'no machines yet. `make up` in the checkout enrols this one; others join by themselves: `iocloud node add`.';
  }
  return table(
    ['name', 'state', 'takes work', 'load', 'cpus', 'memory', 'devices', 'heartbeat', 'id'],
    nodes.map(node => [
      node.name,
      node.state,
      node.scheduling === 'active' ? 'yes' : `no, ${node.scheduling}`,
      node.load.state,
      node.inventory ? `${node.cpusLeased}/${node.inventory.cpus}` : '-',
      node.inventory ? `${bytes(node.memoryBytesLeased)}/${bytes(node.inventory.memoryBytes)}` : '-',
      devicesInWords(node),
      age(node.lastHeartbeatAt, nowMs),
      node.id,
    ]),
  );
}

export function nodeDetails(node: Node, nowMs: number): string {
  const { inventory } = node;
  const base: [string, string][] = [
    ['name', node.name],
    ['id', node.id],
    ['state', node.lastHeartbeatAt ? `${node.state}, heard of ${age(node.lastHeartbeatAt, nowMs)} ago` : node.state],
    ['takes work', node.drain === null ? 'yes' : `no, ${node.scheduling} (${node.drain.reason})`],
    ['offered to', offeredTo(node)],
  ];
  base.push(...termLines(node), ['reputation', node.reputation.toFixed(2)]);
  base.push(['connectivity', connectionInWords(node)]);
  if (!inventory) return `${facts(base)}\n\nits agent has never connected`;
  const parts = [
    facts([
      ...base,
      ['machine', `${inventory.hostname}, ${inventory.os} ${inventory.arch}, ${inventory.cpuModel}`],
      ['cpus', `${node.cpusLeased} of ${inventory.cpus} leased`],
      ['load', nodeLoadInWords(node)],
      ['memory', `${bytes(node.memoryBytesLeased)} of ${bytes(inventory.memoryBytes)} leased`],
      ['disk', `${bytes(inventory.diskFreeBytes)} free`],
      ['ray', inventory.rayVersions.join(', ') || 'none installed'],
      ['python', inventory.pythonVersion],
      ['agent', agentInWords(node.agent)],
      ['networks', meshInWords(inventory.mesh)],
      ['isolation', `${inventory.isolation}${inventory.isolationReason ? ` (${inventory.isolationReason})` : ''}`],
    ]),
  ];
  parts.push(...deviceTables(node));
  return parts.join('\n\n');
}

function agentInWords(agent: Node['agent']): string {
  if (!agent) return 'what runs it changes its release';
  const words = [`${agent.version} (serial ${agent.serial})${agent.onTrial ? ', on trial' : ''}`];
  if (agent.hold !== null) words.push(`held: ${agent.hold}`);
  if (agent.lastFailure !== null) words.push(`the last upgrade failed: ${agent.lastFailure}`);
  return words.join('; ');
}

const meshInWords = (mesh: NonNullable<Node['inventory']>['mesh']) =>
  mesh ? `${mesh.able ? 'joins other machines in a cluster' : 'only clusters of its own'}: ${mesh.reason}` : 'not said';
const offeredTo = ({ shared, eligible, name, inventory, terms }: Node): string => {
  if (!shared) return 'its own tenant';
  if (inventory && inventory.isolation !== 'container' && !terms.plainProcesses) {
    return `its own tenant: it runs no containers; \`iocloud node set ${name} --plain-processes yes\` allows others without`;
  }
  return eligible
    ? 'other tenants too'
    : `its own tenant, until it is verified (\`iocloud node verification ${name}\`)`;
};

export function drainInWords(node: Node): string {
  return [
    `${node.name} takes no new work. Its jobs are asked to end and go back into the queue; what still runs at`,
    `${node.drain?.deadline ?? '-'} is ended. \`iocloud node show ${node.name}\` says "drained" when nothing is left.`,
  ].join('\n');
}

export async function findNode(client: Client, reference: string): Promise<Node> {
  if (/^nd_[0-9a-z]{20}$/.test(reference)) return client.call('getNode', { params: { nodeId: reference } });
  for await (const node of client.list('listNodes')) if (node.name === reference) return node;
  throw new CliError('notFound', `no machine is named ${reference}; \`iocloud node list\` shows those there are`);
}

export function nodeCommands(program: Command, terminal: Terminal): void {
  const group = program.command('node').description('machines');
  withCommonOptions(group.command('list').description('machines with what is leased of them')).action(
    (options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const nodes = await collect(client.list('listNodes'));
        show(nodes, () => nodeTable(nodes, terminal.now()));
      }),
  );
  withCommonOptions(group.command('show <node>').description('one machine (name or id)')).action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const node = await findNode(client, reference);
        show(node, () => nodeDetails(node, terminal.now()));
      }),
  );
  enrolmentCommands(group, terminal);
  telemetryCommand(group, terminal, findNode);
  withTermOptions(
    withCommonOptions(
      group.command('set <node>').description('what a machine costs, where it stands, its certificates'),
    ),
  ).action((reference: string, options: CommonOptions & TermOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const body = changedTerms(options);
      const { id } = await findNode(client, reference);
      const node = await client.call('changeNodeTerms', { params: { nodeId: id }, body });
      show(node, () => nodeDetails(node, terminal.now()));
    }),
  );
  withCommonOptions(group.command('drain <node>').description('move its work away and give it no new one'))
    .option('--grace <time>', 'how long its jobs have to write a checkpoint and end', '60s')
    .option('--reason <text>', 'shown with the machine and to the jobs that move', 'maintenance')
    .action((reference: string, options: CommonOptions & { grace: string; reason: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const { id: nodeId } = await findNode(client, reference);
        const body = { graceSeconds: parseSeconds(options.grace), reason: options.reason };
        const node = await client.call('drainNode', { params: { nodeId }, body });
        show(node, () => drainInWords(node));
      }),
    );
  verificationCommands(group, terminal);
  holdCommands(group, terminal);
  withCommonOptions(group.command('undrain <node>').description('let it take work again')).action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const { id: nodeId } = await findNode(client, reference);
        const node = await client.call('undrainNode', { params: { nodeId } });
        show(node, () => `${node.name} takes work again`);
      }),
  );
}

function holdCommands(group: Command, terminal: Terminal): void {
  withCommonOptions(group.command('hold <node>').description('keep its agent on its release: roll-outs pass it over'))
    .option('--reason <text>', 'shown with the machine', 'held by its owner')
    .action((reference: string, options: CommonOptions & { reason: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const { id: nodeId } = await findNode(client, reference);
        const node = await client.call('holdAgent', { params: { nodeId }, body: { reason: options.reason } });
        show(node, () => `${node.name} stays on its agent until \`iocloud node unhold ${node.name}\``);
      }),
    );
  withCommonOptions(group.command('unhold <node>').description('let roll-outs upgrade its agent again')).action(
    (reference: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const { id: nodeId } = await findNode(client, reference);
        const node = await client.call('unholdAgent', { params: { nodeId } });
        show(node, () => `roll-outs upgrade the agent of ${node.name} again`);
      }),
  );
}
