/** What other parts of the system use of the operator: its API types, its client of the API server, itself. */
export type { MegaRayClusterSpec, MegaRayClusterStatus } from './api/megaraycluster.js';
export type { Condition, RayClusterSpec, RayClusterStatus, WorkerGroupSpec } from './api/raycluster.js';
export type { RayJobSpec, RayJobStatus } from './api/rayjob.js';
export type { RayServiceSpec, RayServiceStatus } from './api/rayservice.js';
export { type OperatorConfig, parseConfig } from './config.js';
export type {
  KubernetesObject,
  Manifest,
  MegaRayCluster,
  Pod,
  RayCluster,
  RayJob,
  RayService,
  Service,
} from './core/kubernetes-objects.js';
export { megaLabels } from './core/mega/names.js';
export { annotations, labels, tokenKey } from './core/names.js';
export { endOf, isLeaving, isReady, troubleOf } from './core/pod-health.js';
export { parseQuantity } from './core/quantity.js';
export { ApiError, isAlreadyThere, isConflict, isNotFound, isPassing } from './kubernetes/api-error.js';
export { KubernetesClient, type ObjectList } from './kubernetes/client.js';
export { type Connection, connect, inCluster } from './kubernetes/connection.js';
export { Informer } from './kubernetes/informer.js';
export { collectionPath, objectPath, type Resource, resources } from './kubernetes/resources.js';
