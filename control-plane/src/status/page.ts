/** The status page: what is wrong now, then how it has gone. Without scripts: the browser asks anew from time to time. */
import { type Fragment, html, layout } from '../pages/index.js';
import { type Figure, figures, inWords } from './figures.js';
import type { History, Point } from './history.js';
import { type Trouble, troublesIn } from './troubles.js';

const width = 300;
const height = 60;
const refreshSeconds = 15;

export interface StatusView {
  history: History;
  /** How long the lines are at most. */
  hours: number;
  version: string;
}

export function statusPage({ history, hours, version }: StatusView): string {
  const sample = history.latest;
  const troubles = sample === null ? [] : troublesIn(sample);
  return layout(
    'Status · iocloud',
    html`<h1>Status</h1>
${sample === null && html`<p>Nothing has been measured yet; the first figures come within ${refreshSeconds} seconds.</p>`}
${sample !== null && verdict(troubles)}
<h2>The last ${hours} hours</h2>
<div class="figures">${figures.map(figure => chart(figure, history.of(figure)))}</div>
<p class="soft">As this process (release ${version}) has measured it every ${refreshSeconds} seconds since it started, at most ${hours} hours ago.
For more: <code>make observe</code> starts Prometheus with all rules and alerts; docs/dashboards.md has the dashboards for Grafana.</p>`,
    refreshSeconds,
  );
}

const verdict = (troubles: readonly Trouble[]): Fragment =>
  troubles.length === 0
    ? html`<p class="good" role="status">Nothing is wrong that can be seen from here.</p>`
    : html`<section class="card" aria-labelledby="troubles"><h2 id="troubles" class="bad">${troubles.length === 1 ? 'One thing is' : `${troubles.length} things are`} wrong</h2>
<div class="wide"><table><thead><tr><th scope="col">what</th><th scope="col">whom it hurts</th><th scope="col">go on with</th></tr></thead>
<tbody>${troubles.map(
        ({ what, hurts, todo }) => html`<tr><td class="bad">${what}</td><td>${hurts}</td><td>${todo}</td></tr>
`,
      )}</tbody></table></div></section>`;

function chart(figure: Figure, points: readonly Point[]): Fragment {
  const values = points.flatMap(({ value }) => value ?? []);
  const now = points.at(-1)?.value ?? null;
  const most = values.length === 0 ? null : Math.max(...values);
  const text = `${figure.title}: now ${inWords(now, figure.unit)}, at most ${inWords(most, figure.unit)}`;
  return html`<figure id="figure-${figure.id}"><figcaption>${figure.title} <strong>${inWords(now, figure.unit)}</strong> <span class="soft">most ${inWords(most, figure.unit)}</span></figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${text}" preserveAspectRatio="none">${lines(
    points,
    most ?? 0,
  ).map(line => html`<polyline points="${line}"/>`)}</svg></figure>
`;
}

/** A line for each stretch without a gap, from left (the oldest) to right (now), from 0 up to the most. */
export function lines(points: readonly Point[], most: number): string[] {
  const first = points[0]?.atMs ?? 0;
  const span = (points.at(-1)?.atMs ?? 0) - first;
  const stretches: string[][] = [[]];
  for (const { atMs, value } of points) {
    if (value === null) {
      stretches.push([]);
      continue;
    }
    const x = span === 0 ? width : ((atMs - first) / span) * width;
    const y = most === 0 ? height - 1 : height - 1 - (value / most) * (height - 2);
    stretches.at(-1)?.push(`${x.toFixed(1)},${y.toFixed(1)}`);
  }
  return stretches.filter(stretch => stretch.length > 0).map(stretch => stretch.join(' '));
}
