/** What other packages' tests and programs may use of the launcher. */
export { findRedisServer } from './up/redis.js';
export { type RunningServer, startPostgres, startRedis } from './up/throwaway.js';
