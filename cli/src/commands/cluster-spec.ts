/** A cluster's specification from options or a file. */
import { readFile } from 'node:fs/promises';
import type { clusterSpec, Requirements } from '@iocloud/contracts';
import type { Command } from 'commander';
import type { z } from 'zod';
import { type LimitOptions, limitsOf, withLimitOptions } from './cluster-limits.js';
import { CliError } from './exit.js';
import { collectPairs, parseAmount, parseCount, parseGroup, parseMemory, parseSeconds } from './quantities.js';
import { argument } from './run.js';
import type { Terminal } from './terminal.js';

export interface NodeOptions {
  headCpus?: number;
  headGpus?: number;
  headMemory?: number;
  headAccelerator?: string;
  group?: ReturnType<typeof parseGroup>[];
  rayVersion?: string;
  require?: Record<string, string>;
}

export interface CreateOptions extends LimitOptions, NodeOptions {
  file?: string;
  name?: string;
  idleTimeout?: number;
}

type SpecInput = z.input<typeof clusterSpec>;

/** The file is the base, options win over it. The control plane and the contract check the whole. */
export async function clusterSpecOf(options: CreateOptions, terminal: Terminal): Promise<SpecInput> {
  const base: Partial<SpecInput> = options.file === undefined ? {} : await readSpec(options.file, terminal);
  const name = options.name ?? base.name;
  if (name === undefined) throw new CliError('usage', 'a cluster needs a name: --name NAME, or -f FILE with one');
  return {
    ...base,
    name,
    ...(await nodesOf(options, base)),
    ...limitsOf(options, terminal.now()),
    ...(options.idleTimeout === undefined ? {} : { idleTimeoutSeconds: options.idleTimeout }),
  };
}

type NodesInput = Pick<Partial<SpecInput>, 'head' | 'workerGroups' | 'rayVersion' | 'requirements'>;

/** Its Ray nodes by the options of `withNodeOptions`: what of them is given, over what it was before. */
export async function nodesOf(options: NodeOptions, base: NodesInput): Promise<NodesInput> {
  const head = Object.fromEntries(
    Object.entries({
      cpus: options.headCpus,
      gpus: options.headGpus,
      memoryBytes: options.headMemory,
      accelerator: options.headAccelerator,
    }).filter(([, value]) => value !== undefined),
  );
  return {
    ...(Object.keys(head).length > 0 ? { head: { cpus: 1, ...base.head, ...head } } : {}),
    ...(options.group ? { workerGroups: options.group } : {}),
    ...(options.rayVersion === undefined ? {} : { rayVersion: options.rayVersion }),
    ...(options.require ? { requirements: { ...base.requirements, ...(await requirementsOf(options.require)) } } : {}),
  };
}

export async function requirementsOf(pairs: Record<string, string>): Promise<Requirements> {
  const { readRequirements } = await import('@iocloud/contracts');
  const read = readRequirements(pairs);
  if ('key' in read) throw new CliError('usage', `--require ${read.key}: ${read.message}`);
  return read;
}

export function withSpecOptions(command: Command): Command {
  withLimitOptions(command)
    .option('-f, --file <file>', 'its specification as JSON (- reads standard input); options win over it')
    .option('--name <name>', 'its name: lower-case letters, digits, hyphens');
  return withNodeOptions(command).option(
    '--idle-timeout <time>',
    'delete it after so long without a job',
    argument(parseSeconds),
  );
}

/** What its Ray nodes are. */
export function withNodeOptions(command: Command): Command {
  return command
    .option('--head-cpus <n>', 'CPUs of the head', argument(parseAmount))
    .option('--head-gpus <n>', 'GPUs of the head', argument(parseCount))
    .option('--head-memory <amount>', 'memory of the head, such as 4GiB', argument(parseMemory))
    .option('--head-accelerator <model>', 'GPU model of the head')
    .option(
      '--group <pairs>',
      'a worker group: name=workers,count=2,cpus=4,gpus=1,accelerator=H100,memory=8GiB, autoscaled with min=0,max=8,idle=60s (repeatable)',
      (text, before: unknown) => [...(Array.isArray(before) ? before : []), argument(parseGroup)(text)],
    )
    .option(
      '--require <key=value>',
      'what its machines must be, in the words of a job’s io.* metadata: country=DE,FR or max_price_per_hour=2.50 (repeatable)',
      collectPairs,
    )
    .option('--ray-version <version>', 'Ray release, such as 2.60.0');
}

export async function readSpec<Spec extends object>(file: string, terminal: Terminal): Promise<Partial<Spec>> {
  const text =
    file === '-'
      ? await terminal.readInput()
      : await readFile(file, 'utf8').catch((error: Error) => {
          throw new CliError('usage', `cannot read ${file}: ${error.message}`);
        });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CliError('usage', `${file} is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CliError('usage', `${file} must hold one JSON object, a cluster specification (see /docs/)`);
  }
  return value;
}
