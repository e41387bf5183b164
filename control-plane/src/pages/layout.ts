/** The shell of every page, with the headers that confine it. */
import { createHash } from 'node:crypto';
import type { Response } from 'express';
import { type Fragment, html, render, verbatim } from './html.js';

const style = `
:root { color-scheme: light dark; --ink: #16202c; --soft: #5a6776; --paper: #fbfbf9; --card: #fff; --line: #dfe3e6;
  --accent: #0b5cad; --good: #1c7a3e; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf0; --soft: #9aa7b4; --paper: #11161c; --card: #1a2129;
  --line: #2f3944; --accent: #7db8f5; --good: #6fce8f; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
header, main, footer { max-width: 60rem; margin: 0 auto; padding: 1rem 1.25rem; }
header { display: flex; gap: 1.5rem; align-items: baseline; flex-wrap: wrap; border-bottom: 1px solid var(--line); }
header strong { font-size: 1.1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1.2rem 0 .6rem; }
h2 { font-size: 1.15rem; margin: 1.6rem 0 .4rem; }
a { color: var(--accent); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; overflow-x: auto; }
code { font: .92em/1.5 ui-monospace, monospace; }
section.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .2rem 1.2rem 1rem;
  margin: 1rem 0; }
label { display: block; font-weight: 600; margin-bottom: .3rem; }
input[type=password], input[name=code], input[name=name] { width: 100%; max-width: 36rem; padding: .55rem .7rem; font: inherit; color: inherit;
  background: var(--paper); border: 1px solid var(--soft); border-radius: 6px; }
button { margin-top: .7rem; padding: .5rem 1.2rem; font: inherit; color: var(--paper); background: var(--accent); border: 0;
  border-radius: 6px; cursor: pointer; }
button.plain { color: var(--accent); background: none; padding: 0; margin: 0; text-decoration: underline; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
.wide { overflow-x: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .6rem .8rem; }
figcaption { display: flex; gap: .5rem; align-items: baseline; font-size: .9rem; }
figcaption strong, figcaption .soft { white-space: nowrap; }
figure svg { display: block; width: 100%; height: 3.75rem; }
polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
`;
const styleHash = createHash('sha256').update(style).digest('base64');

/** No script at all, one style sheet known by its hash, no frames, forms to ourselves. */
export const pagePolicy = `default-src 'none'; style-src 'sha256-${styleHash}'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`;

/** `refreshSeconds`: the page asks for itself again after so long. */
export function layout(title: string, content: Fragment, refreshSeconds: number | null = null): string {
  return render(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
${refreshSeconds !== null && html`<meta http-equiv="refresh" content="${refreshSeconds}">`}
<style>${verbatim(style)}</style>
</head>
<body>
<header><strong>iocloud</strong><nav aria-label="Pages"><a href="/">Start</a> · <a href="/clusters/">Clusters</a> · <a href="/clusters/status">Status</a> · <a href="/docs/">API</a></nav></header>
<main>
${content}
</main>
</body>
</html>
`);
}

/**
 * Sends a page. The referrer stays within this origin: with none at all browsers would hide the Origin of our own
 * login form, which is what guards it.
 */
export function sendPage(response: Response, status: number, page: string, policy = pagePolicy): void {
  response
    .status(status)
    .set({
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': policy,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'same-origin',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cache-Control': 'no-store',
    })
    .send(page);
}
