/** What other packages' tests and programs may use of the launcher. */
export { type RunningServer, startPostgres, startRedis } from './up/throwaway.js';
