/** Against a server that answers as the API server does in its bad moments, which the real one cannot be asked for. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { Pod } from '../core/kubernetes-objects.js';
import { KubernetesClient } from './client.js';
import { type ChangeKind, Informer } from './informer.js';
import { resources } from './resources.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let informer: Informer<Pod> | undefined;

afterEach(async () => {
  await informer?.stop();
  server.close();
  server.closeAllConnections();
});

async function clientOf(answer: Answer): Promise<KubernetesClient> {
  server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return new KubernetesClient({ server: url, isInCluster: false, options: async () => ({}) });
}

function podAt(name: string, resourceVersion: string): Pod {
  return { metadata: { name, namespace: 'n', uid: name, resourceVersion, labels: { of: 'c' } } };
}

async function follow(client: KubernetesClient) {
  const seen: [ChangeKind, string][] = [];
  let wanted: { count: number; resolve: () => void } | undefined;
  const log = pino({ level: 'silent' });
  const ownerKey = ({ metadata }: Pod) => metadata.labels?.of;
  informer = new Informer<Pod>({ client, log, resource: resources.pods, namespace: '', keep: pod => pod, ownerKey });
  informer.onChange((kind, { metadata }) => {
    seen.push([kind, metadata.name]);
    if (wanted && seen.length >= wanted.count) wanted.resolve();
  });
  await informer.start();
  const changes = (count: number) =>
    seen.length >= count ? Promise.resolve() : new Promise<void>(resolve => (wanted = { count, resolve }));
  return { informer, seen, changes };
}

const list = (resourceVersion: string, items: Pod[]) => JSON.stringify({ metadata: { resourceVersion }, items });
const line = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`;
const isWatch = ({ url }: IncomingMessage) => url?.includes('watch=true') ?? false;
const versionAsked = ({ url }: IncomingMessage) => new URL(url ?? '', 'http://x').searchParams.get('resourceVersion');

test('a watch that breaks goes on where it was, without a list', async () => {
  const watches: (string | null)[] = [];
  const client = await clientOf((request, response) => {
    if (!isWatch(request)) return response.end(list('10', [podAt('a', '9')]));
    watches.push(versionAsked(request));
    if (watches.length === 1) {
      response.write(line('BOOKMARK', { metadata: { resourceVersion: '15' } }));
      return response.write(line('ADDED', podAt('b', '16')), () => response.destroy());
    }
    return response.write(line('MODIFIED', podAt('b', '20')));
  });
  const { informer: copy, seen, changes } = await follow(client);
  await changes(3);
  expect(watches).toEqual(['10', '16']);
  expect(copy.lists).toBe(1);
  expect(seen).toEqual([
    ['added', 'a'],
    ['added', 'b'],
    ['updated', 'b'],
  ]);
});

test.each(['in the stream', 'as the answer'])(
  'forgotten history (410 %s) leads to a new list, which tells what was missed',
  async how => {
    let lists = 0;
    const client = await clientOf((request, response) => {
      if (!isWatch(request)) {
        lists += 1;
        return response.end(
          lists === 1
            ? list('10', [podAt('a', '8'), podAt('b', '9')])
            : list('90', [podAt('b', '50'), podAt('c', '60')]),
        );
      }
      if (versionAsked(request) === '90') return response.flushHeaders();
      const gone = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
      return how === 'in the stream'
        ? response.end(line('ERROR', gone))
        : response.writeHead(410).end(JSON.stringify(gone));
    });
    const { informer: copy, seen, changes } = await follow(client);
    await changes(5);
    expect(seen.slice(2)).toEqual([
      ['updated', 'b'],
      ['added', 'c'],
      ['deleted', 'a'],
    ]);
    expect(copy.ownedBy('c').map(({ metadata }) => metadata.name)).toEqual(['b', 'c']);
  },
);

test('a list of many comes in pages', async () => {
  const pages: (string | null)[] = [];
  const client = await clientOf((request, response) => {
    if (isWatch(request)) return response.flushHeaders();
    const next = new URL(request.url ?? '', 'http://x').searchParams.get('continue');
    pages.push(next);
    const metadata = { resourceVersion: '10', ...(next ? {} : { continue: 'more' }) };
    return response.end(JSON.stringify({ metadata, items: [podAt(next ?? 'first', '1')] }));
  });
  const { informer: copy } = await follow(client);
  expect(pages).toEqual([null, 'more']);
  expect(copy.objects.size).toBe(2);
});

test('a name taken by another object is one deleted and one added', async () => {
  const client = await clientOf((request, response) => {
    if (!isWatch(request)) return response.end(list('10', [podAt('a', '9')]));
    return response.write(
      line('MODIFIED', { ...podAt('a', '12'), metadata: { ...podAt('a', '12').metadata, uid: 'next' } }),
    );
  });
  const { seen, changes } = await follow(client);
  await changes(3);
  expect(seen.map(([kind]) => kind)).toEqual(['added', 'deleted', 'added']);
});

test('an overloaded server is asked again when it says, and no more than a few times', async () => {
  let asked = 0;
  const client = await clientOf((_request, response) => {
    asked += 1;
    if (asked === 1) return response.writeHead(429, { 'retry-after': '0' }).end('{"reason":"TooManyRequests"}');
    return response.end('{"fine":true}');
  });
  expect(await client.get('/api')).toEqual({ fine: true });
  expect(asked).toBe(2);
  server.removeAllListeners('request');
  server.on('request', (_request, response: ServerResponse) => {
    asked += 1;
    response.writeHead(429, { 'retry-after': '0' }).end('{"reason":"TooManyRequests","message":"too many"}');
  });
  await expect(client.get('/api')).rejects.toMatchObject({ status: 429, message: 'too many' });
  expect(asked).toBe(6);
});
