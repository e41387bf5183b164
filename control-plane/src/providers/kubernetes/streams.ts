/** Streams to what runs on nodes of Kubernetes, in the place of those that an agent opens. */
import type { Duplex } from 'node:stream';
import type { LeaseId, NodeId, StreamRequest } from '@iocloud/contracts';
import { isLeaving, objectPath, type Pod, resources } from '@iocloud/ray-operator';
import { StreamRefused } from '../../inventory/index.js';
import type { Database } from '../../platform/index.js';
import { leasePods } from '../store.js';
import { ForwardedPort, openChannels } from './channels.js';
import { openJobLog } from './job-log.js';
import { marks } from './objects.js';
import type { Session } from './session.js';

const ports = { dashboard: 8265, gcs: 6379 };

export async function openStream(
  database: Database,
  session: Session,
  nodeId: NodeId,
  request: StreamRequest,
): Promise<Duplex> {
  switch (request.kind) {
    case 'dashboard':
    case 'gcs':
      return openPort(database, session, request.leaseId, ports[request.kind]);
    case 'job-log':
      return openJobLog(session.connection, () => podsOf(session, nodeId, request.clusterId), request);
    default:
      throw new StreamRefused('bad-request', 'this is not offered on Kubernetes yet: use kubectl exec or port-forward');
  }
}

/**
 * A head that the operator makes anew has the name of the one before, and knows nothing of its jobs. So the pod is asked for
 * once the stream is open: if the right one still has the name, the stream leads to it.
 */
async function openPort(database: Database, session: Session, leaseId: LeaseId, port: number): Promise<Duplex> {
  const record = (await leasePods(database, [leaseId])).get(leaseId);
  if (!record?.pod) throw new StreamRefused('not-ready', 'no pod runs this yet');
  const { name, uid } = record.pod;
  const path = `${pathOf(session, name)}/portforward?ports=${port}`;
  const stream = await openChannels(session.connection, path, socket => new ForwardedPort(socket));
  try {
    if ((await session.podNow(name))?.metadata.uid !== uid) throw new StreamRefused('not-found', 'its pod has gone');
    return stream;
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

const pathOf = (session: Session, pod: string) => objectPath(resources.pods, session.of.namespace, pod);

function podsOf(session: Session, nodeId: NodeId, clusterId: string) {
  const isHere = ({ metadata }: Pod) =>
    metadata.labels?.[marks.cluster] === clusterId && metadata.labels?.[marks.machine] === nodeId;
  return session.pods
    .filter(pod => session.isOurs(pod) && isHere(pod) && !isLeaving(pod) && pod.status?.phase === 'Running')
    .map(pod => ({
      pod,
      path: pathOf(session, pod.metadata.name),
      container: pod.status?.containerStatuses?.find(({ name }) => name.startsWith('ray-'))?.name ?? 'ray-head',
    }));
}
