/** What a browser and a probe see: the first page, login, clusters, the API's description, health, metrics. */
export { type PageOptions, pageRoutes } from './routes.js';
