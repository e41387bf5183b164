/** A cluster's specification from options or a file. */
import { readFile } from 'node:fs/promises';
import type { clusterSpec } from '@iocloud/contracts';
import type { z } from 'zod';
import { CliError } from './exit.js';
import type { parseGroup } from './quantities.js';
import type { Terminal } from './terminal.js';

export interface CreateOptions {
  file?: string;
  name?: string;
  headCpus?: number;
  headGpus?: number;
  headMemory?: number;
  headAccelerator?: string;
  group?: ReturnType<typeof parseGroup>[];
  rayVersion?: string;
  idleTimeout?: number;
}

type SpecInput = z.input<typeof clusterSpec>;

/** The file is the base, options win over it. The control plane and the contract check the whole. */
export async function clusterSpecOf(options: CreateOptions, terminal: Terminal): Promise<SpecInput> {
  const base = options.file === undefined ? {} : await readSpec(options.file, terminal);
  const head = Object.fromEntries(
    Object.entries({
      cpus: options.headCpus,
      gpus: options.headGpus,
      memoryBytes: options.headMemory,
      accelerator: options.headAccelerator,
    }).filter(([, value]) => value !== undefined),
  );
  const name = options.name ?? base.name;
  if (name === undefined) throw new CliError('usage', 'a cluster needs a name: --name NAME, or -f FILE with one');
  return {
    ...base,
    name,
    ...(Object.keys(head).length > 0 ? { head: { cpus: 1, ...base.head, ...head } } : {}),
    ...(options.group ? { workerGroups: options.group } : {}),
    ...(options.rayVersion === undefined ? {} : { rayVersion: options.rayVersion }),
    ...(options.idleTimeout === undefined ? {} : { idleTimeoutSeconds: options.idleTimeout }),
  };
}

async function readSpec(file: string, terminal: Terminal): Promise<Partial<SpecInput>> {
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
