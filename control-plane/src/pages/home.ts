/** The first page: what this address is, how to use it, the login. Pure. */
import { type Fragment, html } from './html.js';
import { layout } from './layout.js';

export interface HomeView {
  /** Scheme, host and port, as the reader's browser sees this server. */
  address: string;
  version: string;
  rayVersion: string;
  /** Where the login leads; a path of ours. */
  next: string;
  /** Why the last try did not log in, or null. */
  fault: string | null;
}

export function loginForm(next: string, fault: string | null): Fragment {
  return html`<section class="card" aria-labelledby="login">
<h2 id="login">Log in</h2>
${fault && html`<p class="bad" role="alert">${fault}</p>`}
<form method="post" action="/login">
<input type="hidden" name="next" value="${next}">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required spellcheck="false">
<button type="submit">Log in</button>
</form>
<p class="soft">The key of this shell: <code>echo $IOCLOUD_API_KEY</code>. A new one: <code>iocloud key create --name browser</code>.</p>
</section>`;
}

export function homePage(view: HomeView): string {
  return layout(
    'iocloud',
    html`<h1>A control plane for Ray</h1>
<p>This address takes Ray jobs and brings up the clusters that they need. It speaks the Ray Jobs API, so the Ray client
that you have works as it is.</p>
<h2>Run a job</h2>
<pre><code>export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$IOCLOUD_API_KEY
ray job submit --address ${view.address} --working-dir . -- python main.py</code></pre>
<p>No cluster need exist: the job waits while one comes up, and its log stays when the cluster is gone.
<code>ray job logs</code>, <code>status</code>, <code>list</code>, <code>stop</code> work likewise.</p>
<h2>Look around</h2>
<pre><code>iocloud login --address ${view.address}
iocloud cluster list
iocloud events --follow</code></pre>
<p><a href="/clusters/">Your clusters and their Ray dashboards</a> · <a href="/docs/">every API call, described</a> ·
<a href="/openapi.json">the OpenAPI document</a></p>
${loginForm(view.next, view.fault)}
<p class="soft">iocloud ${view.version}, Ray ${view.rayVersion}</p>`,
  );
}
