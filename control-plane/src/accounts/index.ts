/** Tenants, users and API keys; by what terms a tenant's work is queued; who a call comes from; answers that a repeated call gets again. */
export { type ApiKeySecret, formatApiKey, hashSecret, newApiKeySecret, parseApiKey } from './api-key.js';
export { authenticator, callerOfKey, callerOfKeyId, sessionCookie } from './authenticate.js';
export { bootstrapAccounts } from './bootstrap.js';
export { once } from './idempotency.js';
export { mayNow } from './may-now.js';
export { queueTermsRoutes } from './queue-routes.js';
export { defaultTermsOf, type QueueUse, queueTermsOf } from './queue-terms.js';
export { Refusals, refusalRoutes } from './refusals.js';
export { accountRoutes } from './routes.js';
export { getTenant, operatorTenants } from './store.js';
