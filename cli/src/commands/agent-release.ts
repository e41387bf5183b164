/** `iocloud agent-release …`: releases of the agent and how they come to the machines, for operators. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AgentRelease, type Rollout, type RolloutNode, releaseManifest } from '@iocloud/contracts';
import type { Command } from 'commander';
import { type Client, collect } from '../client.js';
import { age, bytes, facts, table } from '../output.js';
import { CliError } from './exit.js';
import { parseCount, parseSeconds } from './quantities.js';
import { argument, type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

export function releaseTable(releases: readonly AgentRelease[], nowMs: number): string {
  if (releases.length === 0) return 'no release was published yet: `iocloud agent-release publish DIR`';
  return table(
    ['version', 'serial', 'machines', 'size', 'age', 'sha256'],
    releases.map(({ version, serial, nodes, bytes: size, publishedAt, sha256 }) => [
      version,
      String(serial),
      String(nodes),
      bytes(size),
      age(publishedAt, nowMs),
      sha256.slice(0, 12),
    ]),
  );
}

export function rolloutInWords(rollout: Rollout, nodes: readonly RolloutNode[], nowMs: number): string {
  const { id, version, serial, phase, reason, terms, rollsBack, createdAt } = rollout;
  const left = rollout.waiting + rollout.trying;
  const lines = facts([
    ['roll-out', `${id}, begun ${age(createdAt, nowMs)} ago${rollsBack === null ? '' : `, takes ${rollsBack} back`}`],
    ['agent', `${version} (serial ${serial})`],
    ['state', phase === 'running' && left === 0 ? 'running, nothing is left to do' : phase],
    ['reason', reason],
    ['upgraded', String(rollout.healthy)],
    ['changing now', String(rollout.trying)],
    ['failed', `${rollout.failed}, it stops by itself above ${terms.maxFailedPercent} %`],
    ['waiting', `${rollout.waiting}, in waves of at most ${terms.batchPercent} % of the fleet`],
    ['offline', String(rollout.offline)],
    ['held', String(rollout.held)],
  ]);
  const rows = nodes.map(node => [node.name, node.state, node.fromVersion, age(node.changedAt, nowMs), node.reason]);
  return rows.length === 0 ? lines : `${lines}\n\n${table(['machine', 'state', 'from', 'since', 'reason'], rows)}`;
}

interface RollOutOptions extends CommonOptions {
  version: string;
  canaries?: number;
  batch?: number;
  maxFailed?: number;
  healthyWithin?: number;
  pause?: boolean;
}

async function idInForce(client: Client): Promise<string> {
  const [first] = await collect(client.list('listRollouts', {}, 1));
  if (!first)
    throw new CliError('notFound', 'nothing was rolled out yet: `iocloud agent-release roll-out --version …`');
  return first.id;
}

/** Of a directory as `make build` packs it, signed beside it. Throws CliError. */
async function signedRelease(directory: string) {
  const read = async (name: string) => {
    try {
      return await readFile(join(directory, name));
    } catch (error) {
      const hint = name.endsWith('.sig')
        ? ': `ssh-keygen -Y sign -f KEY -n iocloud-agent-release manifest.json` makes it'
        : '';
      throw new CliError(
        'usage',
        `${join(directory, name)} cannot be read (${(error as NodeJS.ErrnoException).code})${hint}`,
      );
    }
  };
  const manifest = (await read('manifest.json')).toString();
  const signature = (await read('manifest.json.sig')).toString();
  const parsed = releaseManifest.safeParse(parsedJson(manifest));
  if (!parsed.success)
    throw new CliError('usage', `${join(directory, 'manifest.json')} is no manifest: pack with \`make build\``);
  return { manifest, signature, archive: (await read(parsed.data.file)).toString('base64') };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the schema says that it is no manifest
  }
}

export function agentReleaseCommands(program: Command, terminal: Terminal): void {
  const group = program.command('agent-release').description('releases of the agent, for operators');
  const leaf = (name: string, description: string) => withCommonOptions(group.command(name).description(description));

  leaf('list', 'published releases, and how many machines run each').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const releases = await collect(client.list('listAgentReleases'));
      show(releases, () => releaseTable(releases, terminal.now()));
    }),
  );
  leaf('publish <directory>', 'publish a signed release; nothing is installed by that').action(
    (directory: string, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const made = await client.call('publishAgentRelease', { body: await signedRelease(directory) });
        show(made, () => `published ${made.version} (serial ${made.serial}, ${bytes(made.bytes)})`);
      }),
  );
  leaf('keys', 'keys that releases are signed with, the one that counts first').action((options: CommonOptions) =>
    run(terminal, options, async ({ client, show }) => {
      const { items } = await client.call('listAgentReleaseKeys');
      const rows = items.map(({ fingerprint, since, publicKey }) => [fingerprint, since, publicKey]);
      show(items, () => (rows.length === 0 ? 'there is none' : table(['fingerprint', 'since', 'key'], rows)));
    }),
  );
  leaf('rotate-key', 'pass the office of the release key on to a new one')
    .requiredOption('--new-key <file>', 'the .pub file of the new key')
    .requiredOption(
      '--signature <file>',
      'of that file by the key in force: ssh-keygen -Y sign -f OLD -n iocloud-agent-key NEW.pub',
    )
    .action((options: CommonOptions & { newKey: string; signature: string }) =>
      run(terminal, options, async ({ client, show }) => {
        const read = (file: string) =>
          readFile(file, 'utf8').catch((error: Error) => {
            throw new CliError('usage', error.message);
          });
        const body = { publicKey: await read(options.newKey), signature: await read(options.signature) };
        const made = await client.call('rotateAgentReleaseKey', { body });
        show(made, () => `${made.fingerprint} signs releases from now on; machines learn of it with the next one`);
      }),
    );
  rolloutCommands(leaf, terminal);
}

function rolloutCommands(leaf: (name: string, description: string) => Command, terminal: Terminal): void {
  const shown = async (client: Client, rollout: Rollout) => {
    const nodes = await collect(client.list('listRolloutNodes', {}, undefined, { rolloutId: rollout.id }));
    return { rollout, nodes };
  };
  leaf('roll-out', 'bring a published release to the machines, wave by wave')
    .requiredOption('--version <version>', 'of the release')
    .option('--canaries <n>', 'machines of the first wave (1)', argument(parseCount))
    .option('--batch <percent>', 'of the fleet: no wave is larger (25)', argument(parseCount))
    .option('--max-failed <percent>', 'of those tried: above that it stops by itself (10)', argument(parseCount))
    .option(
      '--healthy-within <time>',
      'by when a new agent must be back with its Ray nodes (2m)',
      argument(parseSeconds),
    )
    .option('--pause', 'begin only at `iocloud agent-release resume`')
    .action((options: RollOutOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const body = {
          version: options.version,
          canaries: options.canaries,
          batchPercent: options.batch,
          maxFailedPercent: options.maxFailed,
          healthySeconds: options.healthyWithin,
          paused: options.pause,
        };
        const rollout = await client.call('startRollout', { body });
        show(rollout, () => rolloutInWords(rollout, [], terminal.now()));
      }),
    );
  leaf('status [roll-out]', 'how far a roll-out is, and what became of each machine (the one in force)').action(
    (id: string | undefined, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const rolloutId = id ?? (await idInForce(client));
        const both = await shown(client, await client.call('getRollout', { params: { rolloutId } }));
        show(both, () => rolloutInWords(both.rollout, both.nodes, terminal.now()));
      }),
  );
  const change = (name: string, operation: 'pauseRollout' | 'resumeRollout' | 'rollBackRollout', description: string) =>
    leaf(`${name} [roll-out]`, description).action((id: string | undefined, options: CommonOptions) =>
      run(terminal, options, async ({ client, show }) => {
        const rolloutId = id ?? (await idInForce(client));
        const rollout = await client.call(operation, { params: { rolloutId } });
        show(rollout, () => rolloutInWords(rollout, [], terminal.now()));
      }),
    );
  change('pause', 'pauseRollout', 'begin no further machine (of the one in force)');
  change('resume', 'resumeRollout', 'go on; what failed is tried again (the one in force)');
  change('roll-back', 'rollBackRollout', 'bring what it upgraded back to what ran before (the one in force)');
}
