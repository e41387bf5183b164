/**
 * What scraping costs at 10,000 accelerators: bytes and milliseconds of `/metrics` and `/v1/metrics/nodes` of a real control
 * plane, and beside each the same bytes from a server that does nothing but send them.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { insertScrapedFleet } from '@iocloud/control-plane/inventory/testing';
import pg from 'pg';
import { Stack } from '../src/harness/index.js';
import { call, median, report } from './measure.js';

const { values: options } = parseArgs({
  options: { machines: { type: 'string', default: '1250' }, rounds: { type: 'string', default: '11' } },
});
const rounds = Number(options.rounds);

async function timed(address: string, headers: Record<string, string>, path: string) {
  const times: number[] = [];
  let text = '';
  for (let round = 0; round <= rounds; round += 1) {
    const started = performance.now();
    const answer = await call({ address, headers }, 'GET', path);
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}`);
    // The first compiles, and connects.
    if (round > 0) times.push(performance.now() - started);
    text = answer.text;
  }
  return { milliseconds: median(times), text };
}

async function besidePeer(stack: Stack, path: string) {
  const ours = await timed(stack.address, { authorization: `Bearer ${stack.apiKey}` }, path);
  const peer = createServer((_request, response) => response.end(ours.text)).listen(0, '127.0.0.1');
  await once(peer, 'listening');
  const sent = await timed(`http://127.0.0.1:${(peer.address() as AddressInfo).port}`, {}, '/');
  peer.closeAllConnections();
  peer.close();
  return {
    bytes: Buffer.byteLength(ours.text),
    series: ours.text.split('\n').filter(line => line !== '' && !line.startsWith('#')).length,
    milliseconds: ours.milliseconds,
    peerMilliseconds: sent.milliseconds,
    ratio: ours.milliseconds / sent.milliseconds,
  };
}

const stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1' } });
try {
  const database = new pg.Client({ connectionString: await stack.databaseUrl() });
  await database.connect();
  await insertScrapedFleet(database, Number(options.machines));
  await database.end();
  report('scrape-cost', {
    peer: 'a server that sends the same bytes',
    accelerators: 8 * Number(options.machines),
    controlPlane: await besidePeer(stack, '/metrics'),
    nodes: await besidePeer(stack, '/v1/metrics/nodes'),
    loadAverage: loadavg()[0],
    cpus: cpus().length,
  });
} finally {
  await stack.stop();
}
