/** The API's description as a page: Swagger UI from this server, so that it works with no other in reach. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Response } from 'express';
import { Failure } from '../platform/index.js';
import { html, render } from './html.js';
import { sendPage } from './layout.js';

const assets = path.dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const start = `window.ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#api',
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
`;
const files: Record<string, { type: string; read: () => Promise<Buffer> }> = {
  'swagger-ui.css': { type: 'text/css', read: () => readFile(path.join(assets, 'swagger-ui.css')) },
  'swagger-ui-bundle.js': { type: 'text/javascript', read: () => readFile(path.join(assets, 'swagger-ui-bundle.js')) },
  'favicon-32x32.png': { type: 'image/png', read: () => readFile(path.join(assets, 'favicon-32x32.png')) },
  'start.js': { type: 'text/javascript', read: async () => Buffer.from(start) },
};

const page = render(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API · iocloud</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<p><a href="/">Start</a></p>
<div id="api"></div>
<noscript>This page needs JavaScript; the document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`);
/** Swagger UI draws its icons from data: images; scripts and styles are files of this server alone. */
export const docsPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** `name`: what follows /docs/. Throws Failure 'not-found'. */
export async function sendDocs(response: Response, name: string): Promise<void> {
  if (name === '') {
    sendPage(response, 200, page, docsPolicy);
    return;
  }
  const file = Object.hasOwn(files, name) ? files[name] : undefined;
  if (!file) throw new Failure('not-found', `nothing is at /docs/${name}; the page is /docs/`);
  const body = await file.read();
  response
    .set({ 'Content-Type': file.type, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'public, max-age=3600' })
    .send(body);
}
