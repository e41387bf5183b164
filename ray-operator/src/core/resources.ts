/** What a pod template asks for, in Kubernetes' terms and in Ray's. */
import type { Container, PodTemplate } from '../api/raycluster.js';
import { parseQuantity, wholeUnits } from './quantity.js';

/** Ray runs in the first container. */
export function rayContainer(template: PodTemplate): Container {
  const first = template.spec.containers[0];
  if (!first) throw new Error('a pod template without containers came past validation');
  return first;
}

function amount(container: Container, name: string): bigint {
  const text = container.resources?.limits?.[name] ?? container.resources?.requests?.[name];
  return (text === undefined ? undefined : parseQuantity(text)) ?? 0n;
}

const isGpu = (name: string) => /(^|[./-])gpu$/i.test(name);
const tpu = 'google.com/tpu';

function gpus(container: Container): bigint {
  const names = new Set(
    [container.resources?.limits, container.resources?.requests].flatMap(list => Object.keys(list ?? {})),
  );
  return [...names].filter(isGpu).reduce((sum, name) => sum + amount(container, name), 0n);
}

export interface PodResources {
  cpuMilli: bigint;
  memoryMilliBytes: bigint;
  gpuMilli: bigint;
  tpuMilli: bigint;
}

/** What one pod takes of its node: the sum over its containers. */
export function podResources(template: PodTemplate): PodResources {
  const sum = (of: (container: Container) => bigint) =>
    template.spec.containers.reduce((total, container) => total + of(container), 0n);
  return {
    cpuMilli: sum(container => amount(container, 'cpu')),
    memoryMilliBytes: sum(container => amount(container, 'memory')),
    gpuMilli: sum(gpus),
    tpuMilli: sum(container => amount(container, tpu)),
  };
}

/** The options of `ray start` that say what a node offers, from its container's resources. */
export function rayResourceParams(container: Container): Record<string, string> {
  const params: Record<string, string> = {};
  const cpu = amount(container, 'cpu');
  if (cpu > 0n) params['num-cpus'] = String(wholeUnits(cpu));
  // Without a limit the kubelet sets none either, and Ray sees its machine's memory by itself.
  const memory = container.resources?.limits?.memory;
  const bytes = memory === undefined ? undefined : parseQuantity(memory);
  if (bytes) params.memory = String(bytes / 1_000n);
  const gpu = gpus(container);
  if (gpu > 0n) params['num-gpus'] = String(wholeUnits(gpu));
  const tpus = amount(container, tpu);
  if (tpus > 0n) params.resources = customResources({ TPU: String(wholeUnits(tpus)) });
  return params;
}

const parameterOf: Record<string, string> = { CPU: 'num-cpus', GPU: 'num-gpus', memory: 'memory' };

/** A group's own `resources`: Ray's names; they win over what the container says. */
export function groupResourceParams(resources: Record<string, string>): Record<string, string> {
  const params: Record<string, string> = {};
  const custom: Record<string, string> = {};
  for (const [name, text] of Object.entries(resources)) {
    const parameter = parameterOf[name];
    const milli = parseQuantity(text);
    if (milli === undefined) continue;
    const value = name === 'memory' ? String(milli / 1_000n) : decimal(milli);
    if (parameter) params[parameter] = value;
    else custom[name] = value;
  }
  if (Object.keys(custom).length > 0) params.resources = customResources(custom);
  return params;
}

function decimal(milli: bigint): string {
  if (milli % 1_000n === 0n) return String(milli / 1_000n);
  return `${milli / 1_000n}.${String(milli % 1_000n).padStart(3, '0')}`.replace(/0+$/, '');
}

/** As a word of the shell: the command is one line of text. */
function customResources(custom: Record<string, string>): string {
  const entries = Object.entries(custom).map(([name, value]) => `${JSON.stringify(name)}:${value}`);
  return shellQuoted(`{${entries.join(',')}}`);
}

export const shellQuoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
