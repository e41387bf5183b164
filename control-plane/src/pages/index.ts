/** What a browser and a probe see: the first page, login, clusters, the API's description, health, metrics. */
export { loginPage } from './clusters-page.js';
export { type Fragment, html } from './html.js';
export { layout, sendPage } from './layout.js';
export { readForm, refuseForeignForm } from './login.js';
export { addressOf, type PageOptions, pageRoutes, sessionCaller } from './routes.js';
