/** How to reach the API server and as whom. In a pod that is a token in a file; elsewhere a kubeconfig says it. */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { Agent, type RequestOptions } from 'node:https';
import { join } from 'node:path';

export interface Connection {
  server: URL;
  /** Whether names of services are known here. */
  isInCluster: boolean;
  /** TLS and credentials of a request; asked for each, as tokens are changed under way. */
  options(): Promise<RequestOptions>;
}

const mountedAccount = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Sockets at most: what waits for one waits here and not in the API server's queue. */
const maxSockets = 64;

export async function connect(env: NodeJS.ProcessEnv): Promise<Connection> {
  const directory = env.RAY_OPERATOR_SERVICE_ACCOUNT_DIR ?? mountedAccount;
  if (env.KUBERNETES_SERVICE_HOST && existsSync(join(directory, 'token'))) return inCluster(env, directory);
  return byKubeconfig();
}

/** As the account of the pod that this process runs in. */
export async function inCluster(env: NodeJS.ProcessEnv, directory = mountedAccount): Promise<Connection> {
  const host = env.KUBERNETES_SERVICE_HOST ?? '';
  const port = env.KUBERNETES_SERVICE_PORT_HTTPS ?? env.KUBERNETES_SERVICE_PORT ?? '443';
  const ca = await readFile(join(directory, 'ca.crt'));
  const agent = new Agent({ keepAlive: true, maxSockets, ca });
  const file = join(directory, 'token');
  let token = { text: '', readAt: 0, mtimeMs: -1 };
  return {
    isInCluster: true,
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    async options() {
      // The kubelet writes a new token well before the old one ends.
      if (Date.now() - token.readAt > 10_000) {
        const { mtimeMs } = await stat(file);
        const text = mtimeMs === token.mtimeMs ? token.text : (await readFile(file, 'utf8')).trim();
        token = { text, readAt: Date.now(), mtimeMs };
      }
      return { agent, headers: { authorization: `Bearer ${token.text}` } };
    },
  };
}

/**
 * All that kubeconfigs can hold (certificates, exec plugins, OIDC, proxies), of a file or of where kubectl looks; loaded
 * only here, as it takes 80 MiB.
 */
export async function byKubeconfig(file?: string): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (file) config.loadFromFile(file);
  else config.loadFromDefault();
  const cluster = config.getCurrentCluster();
  if (!cluster) {
    const where = file ?? 'neither in a pod nor in a kubeconfig (KUBECONFIG, ~/.kube/config)';
    throw new Error(`no cluster: ${where}`);
  }
  const agents = new WeakSet<object>();
  return {
    isInCluster: false,
    server: new URL(cluster.server),
    async options() {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options as Parameters<typeof config.applyToHTTPSOptions>[0]);
      const agent = options.agent;
      if (agent && typeof agent === 'object' && !agents.has(agent)) {
        Object.assign(agent, { keepAlive: true, maxSockets });
        agents.add(agent);
      }
      return options;
    },
  };
}
