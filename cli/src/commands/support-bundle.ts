/** `iocloud support-bundle`: one archive for those who help, free of secrets. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { CliError } from './exit.js';
import { type CommonOptions, run, withCommonOptions } from './run.js';
import type { Terminal } from './terminal.js';

interface BundleOptions extends CommonOptions {
  output?: string;
  home?: string;
}

/** The end of each log. */
const mostLogBytes = 2 * 2 ** 20;
const largestSecretBytes = 64 * 1_024;

export function supportBundleCommand(program: Command, terminal: Terminal): void {
  withCommonOptions(
    program
      .command('support-bundle')
      .description(
        'writes an archive for those who help: versions, configuration, health, metrics, history, logs; no secrets',
      ),
  )
    .option('-o, --output <file>', 'where to (else iocloud-support-<time>.tar.gz here)')
    .option(
      '--home <directory>',
      'of an `iocloud up` on this machine, whose logs come along (else IOCLOUD_HOME, .iocloud)',
    )
    .action((options: BundleOptions) =>
      run(terminal, options, async ({ client, show, progress }) => {
        const home = path.resolve(options.home ?? (terminal.environment.IOCLOUD_HOME || '.iocloud'));
        const { scrub } = await import('@iocloud/contracts');
        const secrets = await knownSecrets(home, terminal.environment);
        const files = new Map<string, string>();
        progress(`asking ${client.address}`);
        // What does not answer is what the bundle is about: the rest is still worth having.
        const report = await client.call('supportReport').catch((error: unknown) => {
          if (!(error instanceof CliError)) throw error;
          files.set('control-plane-error.txt', `${error.message}\n`);
          return null;
        });
        if (report) {
          const { metrics, events, ...rest } = report;
          files.set('report.json', JSON.stringify(rest, null, 2));
          files.set('metrics.txt', metrics);
          files.set('events.jsonl', events.map(event => `${JSON.stringify(event)}\n`).join(''));
        }
        files.set('client.json', JSON.stringify({ node: process.version, platform: process.platform, home }, null, 2));
        for (const [name, text] of await logsOf(home)) files.set(`logs/${name}`, text);
        const at = new Date(terminal.now()).toISOString().slice(0, 19).replaceAll(':', '');
        const output = path.resolve(options.output ?? `iocloud-support-${at}Z.tar.gz`);
        await pack(output, new Map([...files].map(([name, text]) => [name, scrub(text, secrets)])));
        show({ file: output, files: [...files.keys()], reached: report !== null }, () =>
          [`${output} has ${files.size} files; look into it before you hand it on.`, ...files.keys()].join('\n  '),
        );
        if (!report)
          throw new CliError('callFailed', 'the control plane did not tell of itself: control-plane-error.txt');
      }),
    );
}

/** What must not be in it, as far as this machine knows it. */
async function knownSecrets(home: string, environment: Terminal['environment']): Promise<string[]> {
  const found: string[] = [];
  const take = (text: string) => {
    found.push(text.trim());
    for (const [, value = ''] of text.matchAll(/"((?:[^"\\]|\\.){16,})"/g)) found.push(value);
  };
  const secrets = path.join(home, 'secrets');
  for (const name of await readdir(secrets).catch(() => [])) {
    if (name.endsWith('.pub')) continue;
    const bytes = await readFile(path.join(secrets, name)).catch(() => null);
    if (!bytes || bytes.length > largestSecretBytes) continue;
    take(bytes.toString('utf8'));
    found.push(bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url'));
  }
  for (const [name, value = ''] of Object.entries(environment)) {
    if (/(KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE)$/.test(name)) found.push(value);
    if (/_URL$/.test(name) && URL.canParse(value)) found.push(decodeURIComponent(new URL(value).password));
  }
  return found.filter(secret => secret !== '');
}

async function logsOf(home: string): Promise<[string, string][]> {
  const directory = path.join(home, 'logs');
  const names = (await readdir(directory).catch(() => [])).filter(name => /\.log(\.\d+)?$/.test(name)).sort();
  return Promise.all(
    names.map(async (name): Promise<[string, string]> => {
      const text = (await readFile(path.join(directory, name))).subarray(-mostLogBytes).toString('utf8');
      // The first line may have lost its beginning, and with it what tells that something in it is secret.
      return [name, text.length < mostLogBytes ? text : text.slice(text.indexOf('\n') + 1)];
    }),
  );
}

/** Readable by nobody else: what is left in it is still the operator's own. */
async function pack(output: string, files: ReadonlyMap<string, string>): Promise<void> {
  const { create } = await import('tar');
  const directory = await mkdtemp(path.join(tmpdir(), 'iocloud-support-'));
  try {
    await mkdir(path.join(directory, 'logs'));
    for (const [name, text] of files) await writeFile(path.join(directory, name), text, { mode: 0o600 });
    await writeFile(output, '', { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      throw new CliError('usage', `cannot write ${output}: ${error.code === 'EEXIST' ? 'it exists' : error.message}`);
    });
    await create({ gzip: true, file: output, cwd: directory, portable: true }, [...files.keys()]);
    await chmod(output, 0o600);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
