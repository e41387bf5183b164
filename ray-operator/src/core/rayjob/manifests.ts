/** What a RayJob makes: its cluster, its submitter, and the submission itself. */
import type { PodTemplate, RayClusterSpec } from '../../api/raycluster.js';
import { authentication, type EnvVar, merged } from '../environment.js';
import type { Manifest, RayCluster, RayJob } from '../kubernetes-objects.js';
import { annotations, headServiceName, labels, operatorName, ownedBy, ports } from '../names.js';
import { rayContainer } from '../resources.js';
import { dashboardPort } from '../services.js';
import { submitterScript } from './submitter-script.js';

const sidecarName = 'ray-job-submitter';
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** As the head's Jobs API takes it. */
export function submission(job: RayJob, runtimeEnv: unknown): Record<string, unknown> {
  const { entrypoint, metadata, entrypointNumCpus, entrypointNumGpus, entrypointResources } = job.spec;
  return {
    entrypoint,
    submission_id: job.status?.jobId,
    ...(runtimeEnv ? { runtime_env: runtimeEnv } : {}),
    ...(metadata ? { metadata } : {}),
    ...(entrypointNumCpus ? { entrypoint_num_cpus: entrypointNumCpus } : {}),
    ...(entrypointNumGpus ? { entrypoint_num_gpus: entrypointNumGpus } : {}),
    ...(entrypointResources ? { entrypoint_resources: JSON.parse(entrypointResources) } : {}),
  };
}

const origin = (job: RayJob) => ({
  [labels.originName]: job.metadata.name,
  [labels.originKind]: 'RayJob',
});

export function clusterOf(job: RayJob, runtimeEnv: unknown): Manifest {
  const { [lastApplied]: _, ...given } = job.metadata.annotations ?? {};
  const spec = job.spec.rayClusterSpec as RayClusterSpec;
  const metadata = {
    name: job.status?.rayClusterName as string,
    namespace: job.metadata.namespace,
    labels: { ...job.metadata.labels, ...origin(job) },
    annotations: given,
    ownerReferences: [ownedBy(job, 'RayJob')],
  };
  const cluster = { metadata: { ...metadata, uid: '' }, spec };
  const isSidecar = job.spec.submissionMode === 'SidecarMode';
  return {
    apiVersion: 'ray.io/v1',
    kind: 'RayCluster',
    metadata,
    spec: isSidecar ? withSidecar(job, cluster, runtimeEnv) : spec,
  };
}

/** A head that has a submitter beside it is not started again in place: that would submit to a Ray that forgot the job. */
function withSidecar(job: RayJob, cluster: RayCluster, runtimeEnv: unknown): RayClusterSpec {
  const { headGroupSpec } = cluster.spec;
  const { template } = headGroupSpec;
  const head = rayContainer(template);
  const environment = submitterEnvironment(job, cluster, `127.0.0.1:${ports.dashboard}`, runtimeEnv);
  const container = {
    name: sidecarName,
    image: head.image,
    ...(head.imagePullPolicy ? { imagePullPolicy: head.imagePullPolicy } : {}),
    ...(head.volumeMounts ? { volumeMounts: head.volumeMounts } : {}),
    command: ['python', '-c', submitterScript],
    env: merged([], environment),
    resources: defaultResources,
  };
  const spec = { ...template.spec, restartPolicy: 'Never', containers: [...template.spec.containers, container] };
  return { ...cluster.spec, headGroupSpec: { ...headGroupSpec, template: { ...template, spec } } };
}

const defaultResources = { requests: { cpu: '500m', memory: '200Mi' }, limits: { cpu: '1', memory: '1Gi' } };

function submitterEnvironment(job: RayJob, cluster: RayCluster, address: string, runtimeEnv: unknown): EnvVar[] {
  return [
    { name: 'PYTHONUNBUFFERED', value: '1' },
    { name: 'RAY_DASHBOARD_ADDRESS', value: address },
    { name: 'RAY_JOB_SUBMISSION_ID', value: job.status?.jobId ?? '' },
    { name: 'RAY_JOB_SUBMISSION', value: JSON.stringify(submission(job, runtimeEnv)) },
    ...authentication(cluster),
  ];
}

export function submitterJob(job: RayJob, cluster: RayCluster, runtimeEnv: unknown): Manifest {
  const { name, namespace } = job.metadata;
  const head = rayContainer(cluster.spec.headGroupSpec.template);
  const template: PodTemplate = job.spec.submitterPodTemplate ?? {
    spec: {
      containers: [
        {
          name: sidecarName,
          image: head.image,
          ...(head.imagePullPolicy ? { imagePullPolicy: head.imagePullPolicy } : {}),
          resources: defaultResources,
        },
      ],
    },
  };
  const [, ...others] = template.spec.containers;
  const first = rayContainer(template);
  const address = `${headServiceName(cluster.metadata.name)}.${namespace}.svc.cluster.local:${dashboardPort(cluster)}`;
  const container = {
    // Whoever brings a command submits with it, under the id that is given.
    ...(first.command ? {} : { command: ['python', '-c', submitterScript] }),
    ...first,
    env: merged(first.env, submitterEnvironment(job, cluster, address, runtimeEnv)),
  };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name,
      namespace,
      labels: { ...origin(job), [labels.createdBy]: operatorName },
      annotations: { [annotations.submissionId]: job.status?.jobId ?? '' },
      ownerReferences: [ownedBy(job, 'RayJob')],
    },
    spec: {
      backoffLimit: job.spec.submitterConfig?.backoffLimit ?? 2,
      template: {
        metadata: { ...template.metadata, labels: { ...template.metadata?.labels, ...origin(job) } },
        spec: { restartPolicy: 'Never', ...template.spec, containers: [container, ...others] },
      },
    },
  };
}
