/** Clusters in words and tables. Pure. */
import { type Cluster, defaultWorkerIdleSeconds, type WorkerGroup } from '@iocloud/contracts';
import { age, bytes, facts, table } from '../output.js';
import { limitLines } from './cluster-limits.js';
import { loadInWords, rayNodeLoadInWords } from './load-render.js';
import { resourcesInWords } from './quantities.js';

const workersOf = (cluster: Cluster) => {
  const live = cluster.leases.filter(lease => lease.role === 'worker' && lease.phase === 'ready').length;
  const wanted = cluster.spec.workerGroups.reduce((sum, group) => sum + group.count, 0);
  return `${live}/${wanted}`;
};

function countInWords({ count, minCount = 0, maxCount, idleTimeoutSeconds }: WorkerGroup): string {
  if (maxCount === undefined) return String(count);
  return `${count}, between ${minCount} and ${maxCount} (idle ${idleTimeoutSeconds ?? defaultWorkerIdleSeconds} s)`;
}

function networkTable({ members }: NonNullable<Cluster['network']>): string {
  return table(
    ['machine', 'addresses', 'reaches'],
    members.map(({ nodeId, addresses, paths }) => [
      nodeId,
      addresses,
      paths.map(({ nodeId: to, path }) => `${to} ${path === 'none' ? 'not yet' : path}`).join(', ') || '-',
    ]),
  );
}

export function clusterTable(clusters: readonly Cluster[], nowMs: number): string {
  if (clusters.length === 0) {
    return [
      'no clusters yet. Make one:',
      '  iocloud cluster create --name first --head-cpus 2 --wait',
      'or submit a job and let one come up for it:',
      '  ray job submit --working-dir . -- python main.py',
    ].join('\n');
  }
  return table(
    ['name', 'phase', 'workers', 'ray', 'for', 'age', 'id'],
    clusters.map(cluster => [
      cluster.spec.name,
      cluster.phase === cluster.desired || cluster.phase === 'ready'
        ? cluster.phase
        : `${cluster.phase} (to be ${cluster.desired})`,
      workersOf(cluster),
      cluster.spec.rayVersion,
      cluster.origin,
      age(cluster.createdAt, nowMs),
      cluster.id,
    ]),
  );
}

export function clusterDetails(cluster: Cluster, nowMs: number): string {
  const { spec } = cluster;
  const idle = spec.idleTimeoutSeconds;
  const simulated = cluster.leases.some(lease => lease.simulated);
  const parts = [
    facts([
      ['name', spec.name],
      ['id', cluster.id],
      ['phase', `${cluster.phase}, wanted ${cluster.desired}`],
      ['up to date', cluster.observedGeneration >= cluster.generation ? 'yes' : 'no, a change is being carried out'],
      ['ray', spec.rayVersion],
      ['head', resourcesInWords(spec.head, bytes)],
      ['made', `${age(cluster.createdAt, nowMs)} ago, ${cluster.origin === 'job' ? 'for a job' : 'by a user'}`],
      ['when idle', idle === null ? 'stays' : `deleted after ${idle} s without a job`],
      ...limitLines(cluster),
      ...(simulated ? ([['accelerators', 'SIMULATED: declared for tests, no such hardware exists']] as const) : []),
    ]),
  ];
  if (spec.workerGroups.length > 0) {
    parts.push(
      table(
        ['group', 'count', 'each'],
        spec.workerGroups.map(group => [group.name, countInWords(group), resourcesInWords(group, bytes)]),
      ),
    );
  }
  if (cluster.conditions.length > 0) {
    parts.push(
      table(
        ['condition', 'status', 'since', 'why'],
        cluster.conditions.map(condition => [
          condition.type,
          condition.status,
          age(condition.lastTransitionTime, nowMs),
          `${condition.reason}${condition.message ? `: ${condition.message}` : ''}`,
        ]),
      ),
    );
  }
  if (cluster.load) parts.push(loadInWords(cluster.load, nowMs));
  if (cluster.leases.length > 0) {
    parts.push(
      table(
        ['ray node', 'phase', 'load', 'machine', 'message'],
        cluster.leases.map(lease => [
          lease.role === 'head' ? 'head' : `${lease.group}/${lease.ordinal}`,
          lease.phase,
          rayNodeLoadInWords(
            cluster.load?.nodes.find(node => node.leaseId === lease.id),
            nowMs,
          ),
          lease.nodeId,
          `${lease.simulated ? '[simulated] ' : ''}${lease.message}`,
        ]),
      ),
    );
  }
  if (cluster.network) parts.push(networkTable(cluster.network));
  if (cluster.phase === 'ready') {
    parts.push(
      `run a job on it:   ray job submit --metadata-json '{"io.cluster":"${spec.name}"}' --working-dir . -- python main.py\n` +
        `see its dashboard: iocloud cluster dashboard ${spec.name}`,
    );
  }
  return parts.join('\n\n');
}
