/**
 * The body of POST /api/jobs/, checked as Ray checks it (ray.dashboard.modules.job.common.JobSubmitRequest), in Ray's own
 * words but without its traceback. Pure.
 */
import {
  type Asked,
  attemptVariables,
  type IoMetadata,
  ioMetadata,
  type RayJobSubmission,
  readIoMetadata,
  retryPolicyOf,
  type Scheduling,
} from '@iocloud/contracts';
import { requirementsOfLabels, withLabels } from '../core/matching/index.js';
import { defaultQueueTerms, type Needs, parseLabelCondition } from '../core/queueing/index.js';

export interface Submission {
  entrypoint: string;
  /** Null: the server makes one. */
  submissionId: string | null;
  runtimeEnv: Record<string, unknown> | null;
  metadata: Record<string, string> | null;
  needs: Needs;
  wantedCluster: string | null;
  maxAttempts: number;
  scheduling: Scheduling;
  /** It is an array of so many jobs; null: it is one job. */
  array: Asked['array'];
  /** Queue it even though no machine that is enrolled meets its requirements. */
  waitsForMachines: boolean;
  /** What a head is sent, less the id and our own metadata. */
  body: RayJobSubmission;
}

/** Answered with status 400. The message is one line such as Ray's last one. */
export class InvalidSubmission extends Error {}

const fields = new Set([
  'entrypoint',
  'submission_id',
  'job_id',
  'runtime_env',
  'metadata',
  'entrypoint_num_cpus',
  'entrypoint_num_gpus',
  'entrypoint_memory',
  'entrypoint_resources',
  'entrypoint_label_selector',
]);
/** A head keeps the log in `job-driver-<id>.log`; what we append for later attempts must fit a file name too. */
const maxSubmissionIdBytes = 200;

/** Throws InvalidSubmission. */
export function parseSubmission(text: string): Submission {
  const given = parseObject(text);
  const entrypoint = given.entrypoint;
  if (entrypoint === undefined) {
    throw typeError("JobSubmitRequest.__init__() missing 1 required positional argument: 'entrypoint'");
  }
  if (typeof entrypoint !== 'string') throw wrongType('entrypoint must be a string', entrypoint);
  for (const name of ['submission_id', 'job_id'] as const) {
    if (given[name] !== undefined && typeof given[name] !== 'string') {
      throw wrongType(`${name} must be a string${name === 'submission_id' ? ' if provided' : ''}`, given[name]);
    }
  }
  const runtimeEnv = dictionary(given, 'runtime_env');
  const metadata = dictionaryOf<string>(given, 'metadata', 'strings', value => typeof value === 'string');
  const resources = dictionaryOf<number>(given, 'entrypoint_resources', 'numbers', isNumber);
  const labelSelector = dictionaryOf<string>(
    given,
    'entrypoint_label_selector',
    'strings',
    value => typeof value === 'string',
  );
  for (const [key, value] of Object.entries(labelSelector ?? {})) {
    if (!parseLabelCondition(key, value)) {
      throw valueError(`entrypoint_label_selector: '${key}': '${value}' is no label selector`);
    }
  }
  const { io, asked } = parseIoMetadata(metadata);
  const { scheduling } = asked;
  const wantedCluster = io['io.cluster'] ?? null;
  // A cluster that is named is what it is: there Ray alone sees to the labels.
  const labels = wantedCluster === null ? (labelSelector ?? {}) : {};
  const requirements = withLabels(asked.requirements, labels);
  if ('key' in requirements)
    throw valueError(`entrypoint_label_selector: '${requirements.key}': ${requirements.message}`);
  const typed = requirementsOfLabels(labels).accelerators !== undefined;
  refuseOurVariables(runtimeEnv);
  const submissionId = parseSubmissionId(
    (given.submission_id || given.job_id || null) as string | null,
    asked.array === null ? 0 : indexSuffix(asked.array.size - 1).length,
  );
  const body = Object.fromEntries(
    Object.entries(given).filter(([name]) => name !== 'submission_id' && name !== 'job_id'),
  ) as unknown as RayJobSubmission;
  return {
    entrypoint,
    submissionId,
    runtimeEnv,
    metadata,
    needs: {
      cpus: atLeast(amount(given, 'entrypoint_num_cpus', 'a number') ?? null, asked.cpus),
      // A Ray node is of an accelerator's type by having one.
      gpus: atLeast(amount(given, 'entrypoint_num_gpus', 'a number') ?? 0, asked.gpus) || (typed ? 1 : 0),
      memoryBytes: atLeast(amount(given, 'entrypoint_memory', 'an integer') ?? 0, asked.memoryBytes),
      resources: nonNegative(resources ?? {}),
      labelSelector: labelSelector ?? {},
      ...(Object.keys(requirements).length > 0 ? { requirements } : {}),
    },
    wantedCluster,
    scheduling,
    array: asked.array,
    waitsForMachines: io['io.wait_for_machines'] === 'true',
    maxAttempts: retryPolicyOf(metadata).maxAttempts,
    body,
  };
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidSubmission(`json.decoder.JSONDecodeError: the body is no JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw wrongType('the body must be a JSON object', value);
  // As Ray does it: a null counts as absent, so that newer clients work with older servers.
  const given = Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
  for (const name of Object.keys(given)) {
    if (!fields.has(name)) throw typeError(`JobSubmitRequest.__init__() got an unexpected keyword argument '${name}'`);
  }
  return given;
}

/** What an index of an array is called by, after the array's own submission id. */
export const indexSuffix = (index: number): string => `.${index}`;

/** `suffixBytes`: what is appended to it and must fit a file name, too. */
function parseSubmissionId(id: string | null, suffixBytes: number): string | null {
  if (id === null) return null;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in it
  if (/[/\\\u0000-\u001f\u007f]/.test(id) || id === '.' || id === '..' || Buffer.from(id).toString() !== id) {
    throw valueError(`submission_id ${JSON.stringify(id)} cannot be an id: it names a file and a path of the API`);
  }
  const mostBytes = maxSubmissionIdBytes - suffixBytes;
  if (Buffer.byteLength(id) > mostBytes) {
    throw valueError(`submission_id must not be longer than ${mostBytes} bytes`);
  }
  return id;
}

function parseIoMetadata(metadata: Record<string, string> | null) {
  const own = Object.fromEntries(Object.entries(metadata ?? {}).filter(([key]) => key.startsWith('io.')));
  const known = Object.keys(ioMetadata.shape);
  for (const key of Object.keys(own)) {
    if (!known.includes(key)) {
      throw valueError(`metadata key ${key} is unknown; of those that start with "io." there are ${known.join(', ')}`);
    }
  }
  const parsed = ioMetadata.safeParse(own);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw valueError(`metadata key ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const io: IoMetadata = parsed.data;
  const read = readIoMetadata(io);
  if ('key' in read) throw valueError(`metadata key ${read.key}: ${read.message}`);
  const { graceSeconds } = retryPolicyOf(metadata);
  if (read.scheduling.budgetMicroUsd !== null && graceSeconds * 1_000 > defaultQueueTerms.graceMs) {
    const most = defaultQueueTerms.graceMs / 1_000;
    throw valueError(`metadata key io.grace_seconds: with io.budget at most ${most}: the grace is paid for, too`);
  }
  return { io, asked: read };
}

/** A value of the user's own would either be overwritten in silence or break what relies on ours. */
function refuseOurVariables(runtimeEnv: Record<string, unknown> | null): void {
  const variables = runtimeEnv?.env_vars;
  if (!isObject(variables)) return;
  const taken = attemptVariables.find(name => name in variables);
  if (taken)
    throw valueError(`runtime_env: env_vars: ${taken} is set by the platform for each attempt; use another name`);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

function dictionary(given: Record<string, unknown>, name: string): Record<string, unknown> | null {
  const value = given[name];
  if (value === undefined) return null;
  if (!isObject(value)) throw wrongType(`${name} must be a dict`, value);
  return value;
}

function dictionaryOf<T>(
  given: Record<string, unknown>,
  name: string,
  kind: string,
  check: (value: unknown) => boolean,
): Record<string, T> | null {
  const value = dictionary(given, name);
  for (const item of Object.values(value ?? {})) {
    if (!check(item)) throw wrongType(`${name} values must be ${kind}`, item);
  }
  return value as Record<string, T> | null;
}

function amount(given: Record<string, unknown>, name: string, kind: string): number | undefined {
  const value = given[name];
  if (value === undefined) return undefined;
  if (!isNumber(value) || (kind === 'an integer' && !Number.isInteger(value))) {
    throw wrongType(`${name} must be ${kind}`, value);
  }
  if (value < 0) throw valueError(`${name} must not be negative, got ${value}`);
  return value;
}

const atLeast = <T extends number | null>(amount: T, least: number | null): T | number =>
  least === null ? amount : Math.max(amount ?? 0, least);

function nonNegative(resources: Record<string, number>): Record<string, number> {
  for (const [name, value] of Object.entries(resources)) {
    if (value < 0) throw valueError(`entrypoint_resources: ${name} must not be negative, got ${value}`);
  }
  return resources;
}

const typeError = (message: string) => new InvalidSubmission(`TypeError: ${message}`);
const valueError = (message: string) => new InvalidSubmission(`ValueError: ${message}`);
const wrongType = (message: string, value: unknown) => typeError(`${message}, got ${pythonType(value)}`);

/** Python's name of a JSON value's type, since the words are Python's. */
function pythonType(value: unknown): string {
  if (typeof value === 'string') return "<class 'str'>";
  if (typeof value === 'boolean') return "<class 'bool'>";
  if (typeof value === 'number') return Number.isInteger(value) ? "<class 'int'>" : "<class 'float'>";
  if (Array.isArray(value)) return "<class 'list'>";
  return value === null ? "<class 'NoneType'>" : "<class 'dict'>";
}

/** Names of the uploaded packages that a runtime env refers to (`gcs://…`): its working_dir, py_modules and jars. */
export function packageNames(runtimeEnv: Record<string, unknown> | null): string[] {
  const uris = [runtimeEnv?.working_dir, runtimeEnv?.py_modules, runtimeEnv?.java_jars].flat();
  const names = uris
    .filter((uri): uri is string => typeof uri === 'string' && uri.startsWith('gcs://'))
    .map(uri => uri.slice('gcs://'.length));
  return [...new Set(names)];
}

/** Ray leaves out the characters that people confuse (job_manager.generate_job_id). */
const idCharacters = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz123456789';

/** A submission id as Ray makes it: `raysubmit_` and 16 characters. */
export function newSubmissionId(randomBytes: (n: number) => Uint8Array): string {
  let id = '';
  while (id.length < 16) {
    for (const byte of randomBytes(24)) {
      const character = idCharacters[byte & 63];
      if (character !== undefined && id.length < 16) id += character;
    }
  }
  return `raysubmit_${id}`;
}
