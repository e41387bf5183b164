/** The index of a Mega-Ray cluster: its cells, how each is, and the way to each dashboard. Pure. */
import type { MegaCell, MegaCluster } from '@iocloud/contracts';
import { type Fragment, html } from './html.js';
import { layout } from './layout.js';

const healthClass = { ready: 'good', starting: 'soft', ended: 'bad' } as const;

const cellRow = ({ name, health, message, leaving, jobs, upToDate, phase, dashboardPath }: MegaCell): Fragment =>
  html`<tr><th scope="row">${phase === 'ready' ? html`<a href="${dashboardPath}">${name}</a>` : name}</th>
<td class="${healthClass[health]}">${leaving === null ? health : 'leaving'}</td><td>${jobs}</td><td>${upToDate ? 'yes' : 'no'}</td><td>${leaving ?? message}</td></tr>
`;

/** `address`: by which the reader reaches this control plane. */
export function megaPage(mega: MegaCluster, address: string): string {
  const { spec, phase, readyCells, cells, conditions } = mega;
  const { name } = spec;
  return layout(
    `${name} · iocloud`,
    html`<h1>${name} <span class="${phase === 'ready' ? 'good' : 'soft'}">${phase}</span></h1>
<p>Mega-Ray cluster, ${readyCells} of ${spec.cells} cells ready. <span class="soft">${mega.id}</span></p>
${
  cells.length > 0 &&
  html`<div class="wide"><table><thead><tr><th scope="col">cell and its dashboard</th><th scope="col">health</th><th scope="col">jobs</th><th scope="col">up to date</th><th scope="col">why</th></tr></thead>
<tbody>${cells.map(cellRow)}</tbody></table></div>`
}
${conditions.map(({ type, status, message }) => html`<p><strong>${type}</strong> ${status}: ${message}</p>`)}
<h2>Jobs go to all of them at one address</h2>
<pre><code>RAY_API_SERVER_ADDRESS=${address}${mega.jobsPath} ray job submit --working-dir . -- python main.py</code></pre>
<h2>The same in a shell</h2>
<pre><code>iocloud mega-cluster show ${name}</code></pre>
<p><a href="/clusters/">All clusters</a></p>`,
  );
}
