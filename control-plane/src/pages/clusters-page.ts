/** The tenant's clusters with what is true of them. Pure. */
import type { Cluster, Condition } from '@iocloud/contracts';
import { loginForm } from './home.js';
import { type Fragment, html } from './html.js';
import { layout } from './layout.js';

const conditionClass = { True: 'good', False: 'bad', Unknown: 'soft' } as const;

function conditionRow(condition: Condition): Fragment {
  return html`<tr><th scope="row">${condition.type}</th>
<td class="${conditionClass[condition.status]}">${condition.status}</td><td>${condition.reason}</td><td>${condition.message}</td></tr>
`;
}

function clusterCard(cluster: Cluster): Fragment {
  const { spec, leases } = cluster;
  const ready = leases.filter(lease => lease.phase === 'ready').length;
  const simulated = leases.some(lease => lease.simulated);
  return html`<section class="card" aria-labelledby="${cluster.id}">
<h2 id="${cluster.id}">${spec.name} <span class="${cluster.phase === 'ready' ? 'good' : 'soft'}">${cluster.phase}</span></h2>
<p>Ray ${spec.rayVersion}, ${ready} of ${leases.length} Ray nodes ready, made ${cluster.createdAt.slice(0, 16).replace('T', ' ')} UTC
${cluster.origin === 'job' ? 'for a job' : 'by a user'} <span class="soft">${cluster.id}</span></p>
${simulated && html`<p class="bad">Its accelerators are simulated: declared for tests, no such hardware exists.</p>`}
${cluster.phase === 'ready' && html`<p><a href="${cluster.dashboardPath}">Ray dashboard of ${spec.name}</a> · <a href="/clusters/${cluster.id}/terminal">Terminal in ${spec.name}</a></p>`}
${
  cluster.conditions.length > 0 &&
  html`<div class="wide"><table><thead><tr><th scope="col">condition</th><th scope="col">holds</th><th scope="col">why</th><th scope="col">in words</th></tr></thead>
<tbody>${cluster.conditions.map(conditionRow)}</tbody></table></div>`
}
<pre><code>iocloud cluster show ${spec.name}</code></pre>
</section>
`;
}

const emptyState = html`<p>No clusters yet. Make one:</p>
<pre><code>iocloud cluster create --name first --head-cpus 2 --wait</code></pre>
<p>or submit a job, and one comes up for it:</p>
<pre><code>ray job submit --working-dir . -- python main.py</code></pre>`;

export function clustersPage(clusters: readonly Cluster[]): string {
  return layout(
    'Clusters · iocloud',
    html`<h1>Clusters</h1>
${clusters.length === 0 ? emptyState : clusters.map(clusterCard)}
<h2>The same in a shell</h2>
<pre><code>iocloud cluster list</code></pre>
<form method="post" action="/login"><input type="hidden" name="logout" value="1"><button class="plain" type="submit">Log out</button></form>`,
  );
}

export function loginPage(next: string, fault: string | null): string {
  return layout(
    'Log in · iocloud',
    html`<h1>Log in</h1><p>This page is for who has a key.</p>${loginForm(next, fault)}`,
  );
}
