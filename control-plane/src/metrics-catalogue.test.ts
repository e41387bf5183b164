/** docs/metrics.md and what the programs export are the same set, both ways. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { Registry } from 'prom-client';
import { deviceMetrics } from './inventory/device-metrics.js';
import { clockGauge, leaseCounters } from './metering/exposition.js';
import { registry } from './platform/index.js';
import './server.js';

interface Exported {
  type: string;
  labels: string[];
}
type Catalogue = Record<string, Exported>;

const text = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');

/** The tables of one part of the page: name, type and labels of each row. */
function catalogued(title: string): Catalogue {
  const [, part = ''] = text.split(`\n## ${title}`);
  const rows = (part.split('\n## ')[0] ?? '').matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*) \|/gm);
  return Object.fromEntries(
    [...rows].map(([, name = '', type = '', labels = '']) => {
      const names = [...labels.replace(/\([^)]*\)/g, '').matchAll(/`(\w+)`/g)].map(([, label = '']) => label);
      return [name, { type, labels: names.sort() }];
    }),
  );
}

async function exported(from: Registry): Promise<Catalogue> {
  const types = new Map((await from.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]));
  return Object.fromEntries(
    from.getMetricsAsArray().map(metric => {
      const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] };
      return [name, { type: types.get(name) ?? '', labels: [...labelNames].sort() }];
    }),
  );
}

describe('docs/metrics.md lists what is exported, and nothing else', () => {
  test('by the control plane', async () => {
    const found = await exported(registry as unknown as Registry);
    expect(Object.keys(found).length).toBeGreaterThan(80);
    expect(catalogued('Control plane')).toEqual(found);
  });

  test('of machines and accelerators', async () => {
    const { registry: made } = await deviceMetrics([]);
    expect(catalogued('Machines and accelerators')).toEqual(await exported(made));
  });

  test('of leases', () => {
    expect(Object.keys(catalogued('Leases')).sort()).toEqual([...Object.keys(leaseCounters), clockGauge].sort());
  });
});

test('names are of the conventions: base units, and counters end in _total', () => {
  const all = ['Control plane', 'Machines and accelerators', 'Leases'].flatMap(title =>
    Object.entries(catalogued(title)),
  );
  const ours = all.filter(([name]) => name.startsWith('iocloud_'));
  expect(ours.filter(([name, { type }]) => (type === 'counter') !== name.endsWith('_total'))).toEqual([]);
  expect(ours.filter(([name]) => /_(ms|milliseconds|minutes|hours|kb|mb|gb|percent)(_|$)/.test(name))).toEqual([]);
});
