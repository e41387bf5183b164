/** Amounts as people type them: 8GiB, 10m, name=workers,count=2,cpus=4. Pure; throws CliError 'usage'. */

import type { nodeResources, workerGroup } from '@iocloud/contracts';
import { parseMemory as memory, parseDuration, parseUsd } from '@iocloud/contracts/amounts';
import { InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { CliError } from './exit.js';

/** `8GiB`, `8Gi`, `512MB`, or plain bytes. */
export function parseMemory(text: string): number {
  const bytes = memory(text);
  if (bytes === null) throw new CliError('usage', `"${text}" is no amount of memory such as 8GiB`);
  return bytes;
}

/** `90s`, `10m`, `1h30m`, or plain seconds. In seconds. */
export function parseSeconds(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === null) throw new CliError('usage', `"${text}" is no time such as 90s, 10m or 1h30m`);
  return seconds;
}

/** `1.20` dollars. In micro-USD. */
export function parseDollars(text: string): number {
  const microUsd = parseUsd(text);
  if (microUsd === null) throw new CliError('usage', `"${text}" is no amount of dollars such as 1.20`);
  return microUsd;
}

export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new CliError('usage', `"${text}" is no whole number`);
  return Number(text);
}

export function parseAmount(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new CliError('usage', `"${text}" is no number`);
  return Number(text);
}

type WorkerGroupInput = z.input<typeof workerGroup>;
type Resources = z.input<typeof nodeResources>;

const groupKeys: Record<string, (group: Partial<WorkerGroupInput>, value: string) => void> = {
  name: (group, value) => {
    group.name = value;
  },
  count: (group, value) => {
    group.count = parseCount(value);
  },
  min: (group, value) => {
    group.minCount = parseCount(value);
  },
  max: (group, value) => {
    group.maxCount = parseCount(value);
  },
  idle: (group, value) => {
    group.idleTimeoutSeconds = parseSeconds(value);
  },
  cpus: (group, value) => {
    group.cpus = parseAmount(value);
  },
  gpus: (group, value) => {
    group.gpus = parseCount(value);
  },
  memory: (group, value) => {
    group.memoryBytes = parseMemory(value);
  },
  accelerator: (group, value) => {
    group.accelerator = value;
  },
};

const groupHelp =
  'expected such as name=workers,count=2,cpus=4,gpus=1,memory=8GiB,accelerator=H100,label.zone=a,resource.disk=1, ' +
  'and for a group that is autoscaled min=0,max=8,idle=60s';

/** One --group: `key=value` pairs with commas; `label.KEY=…` and `resource.NAME=…` add to those. */
export function parseGroup(text: string): WorkerGroupInput {
  const group: Partial<WorkerGroupInput> = {};
  const seen = new Set<string>();
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=');
    const key = pair.slice(0, at).trim();
    const value = pair.slice(at + 1).trim();
    if (at < 1 || value === '') throw new CliError('usage', `"${pair}" is no key=value; ${groupHelp}`);
    if (seen.has(key)) throw new CliError('usage', `${key} is given twice in "${text}"`);
    seen.add(key);
    if (key.startsWith('label.')) {
      group.labels = { ...group.labels, [key.slice('label.'.length)]: value };
    } else if (key.startsWith('resource.')) {
      group.resources = { ...group.resources, [key.slice('resource.'.length)]: parseAmount(value) };
    } else {
      const set = Object.hasOwn(groupKeys, key) ? groupKeys[key] : undefined;
      if (!set) throw new CliError('usage', `unknown key ${key}; ${groupHelp}`);
      set(group, value);
    }
  }
  const { name, cpus, maxCount, minCount = 0, count = maxCount === undefined ? 1 : minCount } = group;
  if (name === undefined || cpus === undefined) {
    throw new CliError('usage', `a group needs at least name and cpus; ${groupHelp}`);
  }
  return { ...group, name, cpus, count };
}

/** What a Ray node has, for a table: `4 CPU, 1 GPU (H100), 8 GiB`. */
export function resourcesInWords(resources: Resources, bytes: (count: number) => string): string {
  const { cpus, gpus = 0, accelerator, memoryBytes } = resources;
  return [
    `${cpus} CPU`,
    ...(gpus > 0 ? [`${gpus} GPU${accelerator ? ` (${accelerator})` : ''}`] : []),
    ...(memoryBytes === undefined ? [] : [bytes(memoryBytes)]),
  ].join(', ');
}

/** For a repeatable option: key=value pairs, gathered. */
export function collectPairs(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError(`"${text}" is no key=value`);
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
