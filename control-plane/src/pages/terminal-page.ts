/** A terminal in a cluster's head: xterm.js from this server, and a WebSocket to it. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Cluster } from '@iocloud/contracts';
import type { Response } from 'express';
import { Failure } from '../platform/index.js';
import { html } from './html.js';
import { layout } from './layout.js';

const require = createRequire(import.meta.url);
const xterm = path.dirname(require.resolve('@xterm/xterm/package.json'));
const fit = path.dirname(require.resolve('@xterm/addon-fit/package.json'));

/** What is shown lags behind what comes: above this many bytes the server is asked to wait, below the other to go on. */
const script = `'use strict';
const most = 1 << 20, least = 1 << 17;
const box = document.getElementById('terminal');
const state = document.getElementById('state');
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
const terminal = new Terminal({
  cursorBlink: true, scrollback: 10000, fontFamily: 'ui-monospace, monospace', fontSize: 14, screenReaderMode: true,
  theme: dark ? { background: '#11161c' } : { background: '#16202c' },
});
const fit = new FitAddon.FitAddon();
terminal.loadAddon(fit);
terminal.open(box);
fit.fit();
const url = new URL('terminal/socket', location.href);
url.protocol = url.protocol.replace('http', 'ws');
const socket = new WebSocket(url);
socket.binaryType = 'arraybuffer';
const text = new TextEncoder();
const tellSize = () => socket.readyState === WebSocket.OPEN && socket.send(terminal.cols + ' ' + terminal.rows);
let waiting = 0, held = false;
socket.onopen = () => { state.textContent = 'connected'; tellSize(); terminal.focus(); };
socket.onmessage = ({ data }) => {
  waiting += data.byteLength;
  if (!held && waiting > most) { held = true; socket.send('pause'); }
  terminal.write(new Uint8Array(data), () => {
    waiting -= data.byteLength;
    if (held && waiting < least && socket.readyState === WebSocket.OPEN) { held = false; socket.send('resume'); }
  });
};
socket.onclose = ({ code, reason }) => {
  state.textContent = code === 1006 ? 'not connected: the cluster cannot be reached, or this login has ended' : 'closed: ' + reason;
  state.className = code === 1000 ? 'soft' : 'bad';
  document.getElementById('again').hidden = false;
};
terminal.onData(data => socket.readyState === WebSocket.OPEN && socket.send(text.encode(data)));
terminal.onBinary(data => socket.readyState === WebSocket.OPEN && socket.send(Uint8Array.from(data, one => one.charCodeAt(0))));
terminal.onResize(tellSize);
new ResizeObserver(() => fit.fit()).observe(box);
`;

const style = '#terminal { height: 70vh; padding: .4rem; background: #16202c; border-radius: 8px; }\n';

const files: Record<string, { type: string; read: () => Promise<Buffer> }> = {
  'xterm.js': { type: 'text/javascript', read: () => readFile(path.join(xterm, 'lib/xterm.js')) },
  'addon-fit.js': { type: 'text/javascript', read: () => readFile(path.join(fit, 'lib/addon-fit.js')) },
  'xterm.css': { type: 'text/css', read: () => readFile(path.join(xterm, 'css/xterm.css')) },
  'terminal.css': { type: 'text/css', read: async () => Buffer.from(style) },
  'terminal.js': { type: 'text/javascript', read: async () => Buffer.from(script) },
};

/** `name`: what follows /terminal/. Throws Failure 'not-found'. */
export async function sendTerminalAsset(response: Response, name: string): Promise<void> {
  const file = Object.hasOwn(files, name) ? files[name] : undefined;
  if (!file) throw new Failure('not-found', `nothing is at /terminal/${name}`);
  const body = await file.read();
  response
    .set({ 'Content-Type': file.type, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'public, max-age=3600' })
    .send(body);
}

/**
 * Scripts of /terminal/ alone: nothing that a cluster serves from this origin can be one. xterm.js lays out its rows by
 * styles that it writes as it goes. `host`: as the browser reaches us, or null where it is no plain name.
 */
export function terminalPolicy(host: string | null): string {
  const own = host === null ? "'self'" : `${host}/terminal/`;
  const sockets = host === null ? "'self'" : `ws://${host}/clusters/ wss://${host}/clusters/`;
  return [
    "default-src 'none'",
    `script-src ${own}`,
    `style-src ${own} 'unsafe-inline'`,
    `connect-src ${sockets}`,
    "img-src 'self' data:",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

export function terminalPage(cluster: Pick<Cluster, 'id' | 'spec'>): string {
  const { name } = cluster.spec;
  return layout(
    `${name} · terminal · iocloud`,
    html`<link rel="stylesheet" href="/terminal/xterm.css">
<link rel="stylesheet" href="/terminal/terminal.css">
<h1>Terminal in ${name}</h1>
<p>The head of ${name}. <span id="state" class="soft" role="status">connecting …</span>
<a id="again" hidden href="/clusters/${cluster.id}/terminal">connect again</a></p>
<div id="terminal"></div>
<noscript>This page needs JavaScript; <code>iocloud ssh ${name}</code> does not.</noscript>
<h2>The same in a shell</h2>
<pre><code>iocloud ssh ${name}</code></pre>
<script src="/terminal/xterm.js"></script>
<script src="/terminal/addon-fit.js"></script>
<script src="/terminal/terminal.js"></script>`,
  );
}
