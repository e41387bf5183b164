/** The page on which an owner approves a machine and watches it set itself up. Pure. */
import type { Enrolment, EnrolmentProgress } from '@iocloud/contracts';
import { enrolmentSteps } from '@iocloud/contracts';
import { type Fragment, html, layout } from '../pages/index.js';

const stepNames: Record<EnrolmentProgress['step'], string> = {
  checks: 'It looks at itself',
  approval: 'You approve it',
  ray: 'It installs Ray',
  service: 'It installs its service',
  connected: 'It connects',
};
const stateWords = { running: ['soft', 'under way'], done: ['good', 'done'], failed: ['bad', 'failed'] } as const;
const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(0)} GiB`;

export function askPage(code: string, fault: string | null): string {
  return layout(
    'Add a machine · iocloud',
    html`<h1>Add a machine</h1>
<p>A machine that joins shows a code of eight letters. Type it here, with an API key of yours that may enrol machines.</p>
<section class="card"><h2>Which machine?</h2>
${fault && html`<p class="bad" role="alert">${fault}</p>`}
<form method="post" action="/activate">
<label for="code">Code</label>
<input id="code" name="code" value="${code}" required maxlength="12" autocomplete="off" spellcheck="false" placeholder="WDJB-MJHT">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required spellcheck="false">
<button type="submit">Look at it</button>
</form></section>
${sameInShell(code || 'WDJB-MJHT')}`,
  );
}

export function decidePage(enrolment: Enrolment, token: string, fault: string | null): string {
  return layout(
    `${enrolment.machine.hostname} · iocloud`,
    html`<h1>Is this your machine?</h1>
<p>Approve it only if you have just started its installation yourself, and it shows the same code and key.</p>
${facts(enrolment)}
${fault && html`<p class="bad" role="alert">${fault}</p>`}
<form method="post" action="/activate">
<input type="hidden" name="token" value="${token}">
<label for="name">Name</label>
<input id="name" name="name" value="${enrolment.machine.hostname.slice(0, 63)}" required maxlength="63" spellcheck="false">
<p><label for="shared"><input id="shared" name="shared" type="checkbox" value="1"> Offer it to other tenants too</label></p>
<button type="submit" name="decision" value="approve">Approve</button>
<button class="plain" type="submit" name="decision" value="deny">It is not mine: turn it away</button>
</form>
${sameInShell(enrolment.userCode)}`,
  );
}

/** Asks for itself again until it is over. */
export function watchPage(enrolment: Enrolment): string {
  const { progress, status, machine } = enrolment;
  const failed = progress.some(({ state }) => state === 'failed');
  const connected = progress.some(({ step, state }) => step === 'connected' && state === 'done');
  const over = status === 'denied' || connected;
  const known = new Map(progress.map(one => [one.step, one]));
  const row = (step: EnrolmentProgress['step']) => {
    const told = known.get(step) ?? (step === 'approval' ? { state: 'done' as const, message: '' } : null);
    const [look, words] = told ? stateWords[told.state] : (['soft', 'waits'] as const);
    return html`<tr><th scope="row">${stepNames[step]}</th><td class="${look}">${words}</td><td>${told?.message}</td></tr>`;
  };
  return layout(
    `${machine.hostname} · iocloud`,
    html`<h1>${headline(status, connected, failed, machine.hostname)}</h1>
${status !== 'denied' && html`<div class="wide"><table><tbody>${enrolmentSteps.map(row)}</tbody></table></div>`}
${!over && html`<p class="soft" role="status">This page looks again every three seconds.</p>`}
<pre><code>iocloud node show ${enrolment.nodeId ?? machine.hostname}</code></pre>`,
    over ? null : 3,
  );
}

function headline(status: Enrolment['status'], connected: boolean, failed: boolean, name: string): string {
  if (status === 'denied') return `${name} was turned away`;
  if (connected) return `${name} is here`;
  return failed ? `${name} needs help` : `${name} sets itself up`;
}

function facts({ machine, address, fingerprint, userCode }: Enrolment): Fragment {
  const devices = machine.devices.map(({ model }) => model);
  const counted = [...new Set(devices)].map(model => `${devices.filter(one => one === model).length} × ${model}`);
  const rows: [string, string][] = [
    ['code', userCode],
    ['key', fingerprint],
    ['host', `${machine.hostname}, asking from ${address}`],
    ['system', `${machine.os} ${machine.arch}`],
    ['processors', `${machine.cpus} × ${machine.cpuModel}`],
    ['memory', `${gib(machine.memoryBytes)}, and ${gib(machine.diskFreeBytes)} of disk free`],
    ['accelerators', counted.join(', ') || 'none'],
  ];
  return html`<div class="wide"><table><tbody>${rows.map(
    ([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`,
  )}</tbody></table></div>`;
}

const sameInShell = (code: string): Fragment =>
  html`<h2>The same in a shell</h2><pre><code>iocloud node approve ${code}</code></pre>`;
