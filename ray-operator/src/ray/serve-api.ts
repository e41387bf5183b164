/** The head's Serve API (`/api/serve/applications/`), as far as a RayService needs it. */
import type { RayCluster } from '../core/kubernetes-objects.js';
import type { ServeAnswer } from '../core/rayservice/observation.js';
import { askHead, type HeadAccess, lastLine } from './jobs-api.js';

const path = '/api/serve/applications/';

interface Health {
  status?: string;
  message?: string;
}

interface Instance {
  applications?: Record<string, Health & { deployments?: Record<string, Health> }>;
  proxies?: Record<string, { node_ip?: string; status?: string }>;
}

const health = ({ status, message }: Health) => ({
  ...(status ? { status } : {}),
  ...(message ? { message: message.slice(0, 1_000) } : {}),
});

export class ServeApi {
  constructor(private readonly access: HeadAccess) {}

  async applications(cluster: RayCluster, signal: AbortSignal): Promise<ServeAnswer> {
    const answer = await askHead(this.access, cluster, { method: 'GET', path, signal });
    if ('unreachable' in answer) return { kind: 'unreachable', message: answer.unreachable };
    const instance = answer.status === 200 ? instanceOf(answer.text) : undefined;
    if (!instance) return { kind: 'unreachable', message: `no answer of Serve's (HTTP ${answer.status})` };
    const applications = Object.entries(instance.applications ?? {}).map(([name, { deployments, ...rest }]) => {
      const parts = Object.entries(deployments ?? {}).map(([each, state]) => [each, health(state)]);
      return [name, { ...health(rest), serveDeploymentStatuses: Object.fromEntries(parts) }];
    });
    const healthy = Object.values(instance.proxies ?? {}).filter(({ status }) => status === 'HEALTHY');
    return {
      kind: 'serve',
      applications: Object.fromEntries(applications),
      healthyAddresses: healthy.flatMap(({ node_ip }) => node_ip ?? []),
    };
  }

  /** The same configuration again changes nothing in Serve. */
  async deploy(cluster: RayCluster, config: unknown, signal: AbortSignal): Promise<void> {
    const answer = await askHead(this.access, cluster, { method: 'PUT', path, body: config, signal });
    if ('unreachable' in answer) throw new Error(answer.unreachable);
    if (answer.status !== 200) throw new Error(`Serve refuses it (HTTP ${answer.status}): ${lastLine(answer.text)}`);
  }
}

function instanceOf(text: string): Instance | undefined {
  try {
    return JSON.parse(text) as Instance;
  } catch {
    return undefined;
  }
}
