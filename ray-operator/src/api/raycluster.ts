/**
 * `ray.io/v1` RayCluster, with the fields that KubeRay documents. Written once, here: the types of the operator and the
 * schema in the CRD both come from it. The operator itself does not load zod: the API server has validated before.
 */
import { z } from 'zod';

const int32Max = 2_147_483_647;
export const count = () => z.int().min(0).max(int32Max);
export const strings = () => z.record(z.string(), z.string());

/** What belongs to Kubernetes and is handed through: validated when the pod is made of it. */
export const passedThrough = () =>
  z.record(z.string(), z.unknown()).meta({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true });

const envVar = passedThrough;
const quantity = () => z.union([z.int(), z.string()]).meta({ 'x-kubernetes-int-or-string': true });

const container = z
  .looseObject({
    name: z.string(),
    image: z.string().optional(),
    command: z.array(z.string()).optional(),
    args: z.array(z.string()).optional(),
    env: z.array(envVar()).optional(),
    resources: z
      .looseObject({
        limits: z.record(z.string(), quantity()).optional(),
        requests: z.record(z.string(), quantity()).optional(),
      })
      .optional(),
  })
  .meta({ 'x-kubernetes-preserve-unknown-fields': true });

export const podTemplate = z.object({
  metadata: z
    .looseObject({ labels: strings().optional(), annotations: strings().optional() })
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .optional(),
  spec: z
    .looseObject({ containers: z.array(container).min(1), initContainers: z.array(container).optional() })
    .meta({ 'x-kubernetes-preserve-unknown-fields': true }),
});

const group = {
  rayStartParams: strings().optional(),
  template: podTemplate,
  resources: strings().optional().describe('Ray resources of each node, by name; they override what the pod asks for.'),
  labels: strings().optional().describe('Labels of the Ray nodes of this group.'),
};

const headGroup = z.object({
  ...group,
  serviceType: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']).optional(),
  headService: passedThrough().optional().describe('A Service whose metadata and spec the head service takes over.'),
  enableIngress: z.boolean().optional(),
});

const workerGroup = z.object({
  ...group,
  groupName: z.string().min(1),
  replicas: count().default(0),
  minReplicas: count().default(0),
  maxReplicas: count().default(int32Max),
  numOfHosts: z.int().min(1).default(1).describe('Pods of one replica; they live and die together.'),
  idleTimeoutSeconds: count().optional(),
  suspend: z.boolean().optional(),
  scaleStrategy: z.object({ workersToDelete: z.array(z.string()).optional() }).optional(),
});

const redisCredential = z.object({ value: z.string().optional(), valueFrom: passedThrough().optional() });

export const managers = ['ray.io/kuberay-operator', 'kueue.x-k8s.io/multikueue'] as const;

export const managedBy = () =>
  z
    .enum(managers)
    .meta({ 'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'managedBy is immutable' }] })
    .optional();

const spec = z.object({
  rayVersion: z.string().optional(),
  suspend: z.boolean().optional(),
  managedBy: managedBy(),
  enableInTreeAutoscaling: z.boolean().optional(),
  autoscalerOptions: z
    .object({
      version: z.enum(['v1', 'v2']).optional(),
      image: z.string().optional(),
      imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional(),
      resources: passedThrough().optional(),
      securityContext: passedThrough().optional(),
      env: z.array(envVar()).optional(),
      envFrom: z.array(passedThrough()).optional(),
      volumeMounts: z.array(passedThrough()).optional(),
      idleTimeoutSeconds: count().optional(),
      upscalingMode: z.enum(['Default', 'Aggressive', 'Conservative']).optional(),
    })
    .optional(),
  headServiceAnnotations: strings().optional(),
  gcsFaultToleranceOptions: z
    .object({
      redisAddress: z.string().min(1),
      redisUsername: redisCredential.optional(),
      redisPassword: redisCredential.optional(),
      externalStorageNamespace: z.string().optional(),
    })
    .optional(),
  authOptions: z
    .object({
      mode: z.enum(['token', 'disabled']).optional(),
      secretName: z.string().optional().describe('A Secret of yours with the key auth_token; default: one is made.'),
    })
    .optional()
    .describe("Ray's token authentication. On unless mode is disabled."),
  upgradeStrategy: z
    .object({ type: z.enum(['Recreate', 'None']).optional() })
    .optional()
    .describe('What a changed pod template does to pods that run: None (default) leaves them, Recreate replaces all.'),
  headGroupSpec: headGroup,
  workerGroupSpecs: z.array(workerGroup).optional(),
});

export const time = () => z.string().meta({ format: 'date-time' });

const condition = z.object({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string(),
  message: z.string(),
  lastTransitionTime: time(),
  observedGeneration: z.int().optional(),
});
export const conditions = () =>
  z
    .array(condition)
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
    .optional();

const status = z.object({
  state: z.string().optional(),
  reason: z.string().optional(),
  observedGeneration: z.int().optional(),
  conditions: conditions(),
  desiredWorkerReplicas: z.int().optional(),
  availableWorkerReplicas: z.int().optional(),
  readyWorkerReplicas: z.int().optional(),
  minWorkerReplicas: z.int().optional(),
  maxWorkerReplicas: z.int().optional(),
  desiredCPU: quantity().optional(),
  desiredMemory: quantity().optional(),
  desiredGPU: quantity().optional(),
  desiredTPU: quantity().optional(),
  endpoints: strings().optional(),
  head: z
    .object({
      podIP: z.string().optional(),
      podName: z.string().optional(),
      serviceIP: z.string().optional(),
      serviceName: z.string().optional(),
    })
    .optional(),
  lastUpdateTime: time().nullable().optional(),
  stateTransitionTimes: z.record(z.string(), time()).optional(),
});

export { spec as rayClusterSpec, status as rayClusterStatus };
export const rayClusterSchema = z.object({ spec, status: status.optional() });

export type RayClusterSpec = z.infer<typeof spec>;
export type RayClusterStatus = z.infer<typeof status>;
export type Condition = z.infer<typeof condition>;
export type HeadGroupSpec = z.infer<typeof headGroup>;
export type WorkerGroupSpec = z.infer<typeof workerGroup>;
export type PodTemplate = z.infer<typeof podTemplate>;
export type Container = z.infer<typeof container>;
