/** What a kubeconfig says of one cluster, in full: files that it names are read here, and nothing that it names is run. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { AddProvider } from '@iocloud/contracts';
import { CliError } from './exit.js';

interface Named<T> {
  name: string;
  cluster?: T;
  context?: T;
  user?: T;
}
interface Kubeconfig {
  'current-context'?: string;
  contexts?: Named<{ cluster: string; user: string; namespace?: string }>[];
  clusters?: Named<{
    server: string;
    'certificate-authority'?: string;
    'certificate-authority-data'?: string;
    'insecure-skip-tls-verify'?: boolean;
  }>[];
  users?: Named<{
    token?: string;
    tokenFile?: string;
    'client-certificate'?: string;
    'client-certificate-data'?: string;
    'client-key'?: string;
    'client-key-data'?: string;
    exec?: unknown;
    'auth-provider'?: unknown;
  }>[];
}

const wrong = (file: string, what: string) => new CliError('usage', `${file}: ${what}`);
const ownAccount =
  '`iocloud provider manifest kubernetes` prints an account of its own for the control plane, with a token that lasts';

export async function readKubeconfig(
  given: string | undefined,
  contextName: string | undefined,
): Promise<{ access: NonNullable<AddProvider['access']>; namespace: string | undefined }> {
  const file = given ?? process.env.KUBECONFIG?.split(':')[0] ?? join(homedir(), '.kube', 'config');
  const config = await parsed(file);
  const name = contextName ?? config['current-context'];
  const context = config.contexts?.find(one => one.name === name)?.context;
  if (!context) throw wrong(file, name ? `there is no context ${name}` : 'it names no current context: --context does');
  const cluster = config.clusters?.find(one => one.name === context.cluster)?.cluster;
  const user = config.users?.find(one => one.name === context.user)?.user;
  if (!cluster?.server) throw wrong(file, `there is no cluster ${context.cluster}`);
  if (!user) throw wrong(file, `there is no user ${context.user}`);
  if (cluster['insecure-skip-tls-verify']) {
    throw wrong(file, 'insecure-skip-tls-verify: the control plane connects to none whose certificate it cannot check');
  }
  const text = async (data: string | undefined, path: string | undefined) => {
    if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
    return path === undefined ? undefined : readNamed(file, path);
  };
  const certificateAuthority = await text(cluster['certificate-authority-data'], cluster['certificate-authority']);
  const token =
    user.token ?? (user.tokenFile === undefined ? undefined : (await readNamed(file, user.tokenFile)).trim());
  const certificate = await text(user['client-certificate-data'], user['client-certificate']);
  const key = await text(user['client-key-data'], user['client-key']);
  const access = { server: cluster.server, ...(certificateAuthority ? { certificateAuthority } : {}) };
  const { namespace } = context;
  if (token) return { access: { ...access, credentials: { type: 'token', token } }, namespace };
  if (certificate && key)
    return { access: { ...access, credentials: { type: 'certificate', certificate, key } }, namespace };
  if (user.exec || user['auth-provider']) {
    throw wrong(
      file,
      `the user ${context.user} proves itself by a program, which the control plane does not run; ${ownAccount}`,
    );
  }
  throw wrong(file, `the user ${context.user} has neither a token nor a certificate with its key; ${ownAccount}`);
}

async function parsed(file: string): Promise<Kubeconfig> {
  const { parse } = await import('yaml');
  const text = await readNamed('the kubeconfig', file);
  try {
    const config = parse(text) as unknown;
    if (typeof config === 'object' && config !== null) return config as Kubeconfig;
  } catch {
    // Its words would show a line of the file, which may hold a secret.
  }
  throw wrong(file, 'it is no kubeconfig');
}

async function readNamed(whose: string, path: string): Promise<string> {
  try {
    return await readFile(resolve(whose === 'the kubeconfig' ? '.' : dirname(whose), path), 'utf8');
  } catch (error) {
    throw new CliError('usage', `${whose}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
