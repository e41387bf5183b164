/** Tenants, users and API keys; who a call comes from; answers that a repeated call gets again. */
export { type ApiKeySecret, formatApiKey, hashSecret, newApiKeySecret, parseApiKey } from './api-key.js';
export { authenticator, callerOfKey, sessionCookie } from './authenticate.js';
export { bootstrapAccounts } from './bootstrap.js';
export { once } from './idempotency.js';
export { accountRoutes } from './routes.js';
