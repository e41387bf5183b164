/** Runtime-env packages: kept by content, named per tenant, handed on to the head that runs a job. */
export { handOver } from './hand-over.js';
export { packageRoutes } from './routes.js';
export { PackageStore } from './store.js';
