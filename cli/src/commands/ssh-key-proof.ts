/** The proof that an SSH key is the caller's: `ssh-keygen` signs, with the key's file or by an ssh-agent. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { SshKeyChallenge } from '@iocloud/contracts';
import type { Environment } from './credentials.js';
import { CliError } from './exit.js';

/** `file`: of the public key; null where it came by standard input, and an ssh-agent must hold the private one. */
export async function sign(
  { challenge, namespace }: SshKeyChallenge,
  publicKey: string,
  file: string | null,
  environment: Environment,
): Promise<string> {
  if (file !== null) return signBy(file, challenge, namespace, environment);
  const directory = await mkdtemp(path.join(tmpdir(), 'iocloud-key-'));
  try {
    const copy = path.join(directory, 'key.pub');
    await writeFile(copy, `${publicKey}\n`, { mode: 0o600 });
    return await signBy(copy, challenge, namespace, environment);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What asks for a passphrase is ssh-keygen, on the terminal: it never comes through here. */
async function signBy(file: string, text: string, namespace: string, environment: Environment): Promise<string> {
  const child = spawn('ssh-keygen', ['-Y', 'sign', '-n', namespace, '-f', file], {
    env: environment,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const failed = once(child, 'error').then(([error]) => {
    throw new CliError('usage', `cannot run ssh-keygen (${(error as Error).message}): install the OpenSSH client`);
  });
  let signature = '';
  let words = '';
  child.stdout.on('data', (chunk: Buffer) => {
    signature += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    words += chunk.toString();
  });
  child.stdin.on('error', () => undefined); // it has ended before it read all: its exit says why
  child.stdin.end(text);
  const [code] = (await Promise.race([once(child, 'close'), failed])) as [number | null];
  if (code === 0) return signature;
  const why = words.trim().split('\n').at(-1) || `ssh-keygen ended with ${code}`;
  throw new CliError(
    'usage',
    `the key could not sign, which proves that it is yours (${why}): its private half must lie beside ${file}, or be in your ssh-agent (ssh-add); where it is on another machine, see \`iocloud ssh-key add --help\``,
  );
}
