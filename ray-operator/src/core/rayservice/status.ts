/** The status of a RayService. */
import type { RayServiceStatus, ServedClusterStatus } from '../../api/rayservice.js';
import { type Finding, withFindings } from '../conditions.js';
import type { RayService } from '../kubernetes-objects.js';
import { rfc3339 } from '../time.js';
import { endpointsOf, namesOf, type Observed } from './observation.js';
import type { Roles } from './roles.js';

export function statusOf(service: RayService, observed: Observed, roles: Roles = namesOf(service)): RayServiceStatus {
  const previous = service.status ?? {};
  const generation = service.metadata.generation ?? 0;
  const serving = roles.active === undefined ? undefined : observed.clusters.get(roles.active);
  const endpoints = serving ? endpointsOf(serving) : 0;
  const before = (name: string) =>
    [previous.activeServiceStatus, previous.pendingServiceStatus].find(each => each?.rayClusterName === name);
  const part = (name: string | undefined): ServedClusterStatus | undefined => {
    if (name === undefined) return undefined;
    const served = observed.clusters.get(name);
    const applications = served?.serve.kind === 'serve' ? served.serve.applications : before(name)?.applicationStatuses;
    const { lastUpdateTime, ...kept } = served?.cluster.status ?? {};
    return {
      rayClusterName: name,
      ...(applications ? { applicationStatuses: applications } : {}),
      ...(served?.cluster.status ? { rayClusterStatus: kept } : {}),
    };
  };
  const [active, pending] = [part(roles.active), part(roles.pending)];
  const found = findings(service, observed, roles, endpoints);
  return {
    ...(active ? { activeServiceStatus: active } : {}),
    ...(pending ? { pendingServiceStatus: pending } : {}),
    ...(endpoints > 0 ? { serviceStatus: 'Running' } : {}),
    numServeEndpoints: endpoints,
    conditions: withFindings(previous.conditions ?? [], found, generation, rfc3339(observed.nowMs)),
    observedGeneration: generation,
  };
}

function findings({ spec }: RayService, observed: Observed, roles: Roles, endpoints: number): Finding[] {
  const { problems } = observed;
  const finding = (type: string, is: boolean, reason: string, message = ''): Finding => ({
    type,
    status: is ? 'True' : 'False',
    reason,
    message,
  });
  const valid = finding(
    'SpecValid',
    problems.length === 0,
    problems.length === 0 ? 'Valid' : 'InvalidSpec',
    problems.join('; '),
  );
  if (spec.suspend) {
    const isOver = observed.clusters.size === 0;
    return [
      valid,
      finding('Ready', false, 'Suspended'),
      finding('UpgradeInProgress', false, 'Suspended'),
      finding('Suspended', isOver, isOver ? 'Suspended' : 'Suspending'),
    ];
  }
  const initializing = roles.active === undefined;
  const reason = initializing ? 'Initializing' : endpoints > 0 ? 'NonZeroServeEndpoints' : 'ZeroServeEndpoints';
  const upgrading = roles.active !== undefined && roles.pending !== undefined;
  const without = initializing ? 'NoActiveCluster' : 'NoPendingCluster';
  return [
    valid,
    finding('Ready', endpoints > 0, reason, unreachable(observed, roles)),
    finding('UpgradeInProgress', upgrading, upgrading ? 'BothActivePendingClustersExist' : without),
    finding('Suspended', false, 'NotSuspended'),
  ];
}

/** A head that does not answer keeps its pods behind the service: it is told, and nothing else. */
function unreachable({ clusters }: Observed, { active, pending }: Roles): string {
  return [active, pending]
    .flatMap(name => {
      const serve = name === undefined ? undefined : clusters.get(name)?.serve;
      return serve?.kind === 'unreachable' ? [`${name}: ${serve.message}`] : [];
    })
    .join('; ');
}
