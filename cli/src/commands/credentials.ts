/** Where the control plane is and with which key to call it: flag, environment, or the file that `login` wrote. */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { CliError } from './exit.js';

export const defaultAddress = 'http://127.0.0.1:8265';
export type Environment = Record<string, string | undefined>;

export interface Credentials {
  address: string;
  /** Null: none is known for this address. */
  apiKey: string | null;
}

interface StoredLogin {
  address: string;
  apiKey: string;
}

export function loginFile(environment: Environment): string {
  const base = environment.XDG_CONFIG_HOME || path.join(environment.HOME || homedir(), '.config');
  return path.join(base, 'iocloud', 'config.json');
}

/** Scheme, host and port, without a path. Throws CliError 'usage'. */
export function normaliseAddress(text: string): string {
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : null;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new CliError('usage', `"${text}" is no address: expected one such as ${defaultAddress}`);
  }
  return (url.origin + url.pathname).replace(/\/+$/, '');
}

export async function readLogin(environment: Environment): Promise<StoredLogin | null> {
  const file = loginFile(environment);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new CliError('usage', `cannot read ${file}: ${error.message}`);
  });
  if (text === null) return null;
  const value = parseJson(text);
  if (typeof value?.address !== 'string' || typeof value.apiKey !== 'string') {
    throw new CliError('usage', `${file} is damaged: remove it and run \`iocloud login\` again`);
  }
  return { address: value.address, apiKey: value.apiKey };
}

function parseJson(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Written beside and renamed, so that a crash leaves the old file; readable by its owner alone from the first byte. */
export async function writeLogin(environment: Environment, login: StoredLogin): Promise<string> {
  const file = loginFile(environment);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  await rm(draft, { force: true });
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(login, null, 2)}\n`);
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  return file;
}

/** True when there was one. */
export async function removeLogin(environment: Environment): Promise<boolean> {
  return rm(loginFile(environment)).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

/**
 * The flag wins over the environment, that over the file. A stored key is sent to the address that it was stored for
 * and to no other.
 */
export async function resolveCredentials(flag: string | undefined, environment: Environment): Promise<Credentials> {
  const stored = await readLogin(environment);
  const apiKey = environment.IOCLOUD_API_KEY || null;
  // `source .iocloud/env` sets RAY_ADDRESS beside IOCLOUD_API_KEY: they belong together.
  const rayAddress = apiKey && /^https?:/.test(environment.RAY_ADDRESS ?? '') ? environment.RAY_ADDRESS : undefined;
  const named = flag ?? (environment.IOCLOUD_ADDRESS || rayAddress);
  const address = normaliseAddress(named ?? stored?.address ?? defaultAddress);
  if (apiKey) return { address, apiKey };
  return { address, apiKey: stored && normaliseAddress(stored.address) === address ? stored.apiKey : null };
}
