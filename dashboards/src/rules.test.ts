/** Rules are what Prometheus reads, each alert is tried both ways by promtool, asks for what is exported, and has its page. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, jest, test } from '@jest/globals';
import { knownMetrics } from './catalogue.js';
import { family, metricsIn } from './promql.js';
import { readRules, readRuleTests, rulesDirectory, shortened } from './rules.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const { alerts, records } = readRules();
const promtool = process.env.IOCLOUD_TEST_PROMTOOL;
const amtool = process.env.IOCLOUD_TEST_AMTOOL;
const withPromtool = promtool ? test : test.skip;
jest.setTimeout(300_000);

if (!promtool || !amtool) {
  process.stderr.write('no IOCLOUD_TEST_PROMTOOL, IOCLOUD_TEST_AMTOOL: rules are NOT tested by promtool in this run\n');
}

const files = (directory: string) =>
  readdirSync(directory)
    .filter(name => name.endsWith('.yaml'))
    .map(name => join(directory, name));

describe('promtool', () => {
  withPromtool('takes the rules', async () => {
    const { stdout } = await run(promtool as string, ['check', 'rules', ...files(rulesDirectory)]);
    expect(stdout.match(/SUCCESS/g)).toHaveLength(files(rulesDirectory).length);
  });

  withPromtool.each(files(join(rulesDirectory, 'tests')).map(file => [file.slice(file.lastIndexOf('/') + 1), file]))(
    'finds that alerts fire and keep quiet as %s says',
    async (_, file) => {
      await run(promtool as string, ['test', 'rules', file as string]);
    },
  );

  withPromtool('takes the example of a configuration', async () => {
    await run(promtool as string, ['check', 'config', '--syntax-only', 'dashboards/prometheus.example.yml'], {
      cwd: root,
    });
  });
});

(amtool ? test : test.skip)('amtool takes the example of routing', async () => {
  const { stdout } = await run(amtool as string, ['check-config', 'dashboards/alertmanager.example.yaml'], {
    cwd: root,
  });
  expect(stdout).toContain('SUCCESS');
});

test('routing names only alerts that there are', () => {
  const text = readFileSync(join(root, 'dashboards/alertmanager.example.yaml'), 'utf8');
  const named = [...text.matchAll(/alertname =~? "?([\w|.+]+)"?\]/g)].flatMap(([, names = '']) => names.split('|'));
  expect(named.length).toBeGreaterThan(5);
  const matches = (pattern: string) => alerts.some(({ name }) => new RegExp(`^(?:${pattern})$`).test(name));
  expect(named.filter(pattern => !matches(pattern))).toEqual([]);
});

describe.each(alerts)('$name', ({ name, expr, labels, annotations }) => {
  test('is tried in a case in which it fires and in one in which it keeps quiet', () => {
    const cases = readRuleTests().filter(one => one.alert === name);
    expect(cases.filter(one => one.fires > 0).length).toBeGreaterThan(0);
    expect(cases.filter(one => one.fires === 0).length).toBeGreaterThan(0);
  });

  test('says how urgent it is, whose it is, and what to do', () => {
    expect(labels.severity).toMatch(/^(page|ticket|info)$/);
    expect(labels.team).toMatch(/^(control-plane|fleet|billing|kubernetes)$/);
    expect(annotations.summary).toMatch(/\w/);
    expect(annotations.description).toMatch(/\.$/);
    const [path = '', anchor] = (annotations.runbook_url ?? '').split('#');
    expect(path).toMatch(/^docs\/runbooks\/[\w-]+\.md$/);
    expect(anchor).toBe(name.toLowerCase());
    const page = readFileSync(join(root, path), 'utf8');
    const section = page.split(/^## /m).find(part => part.startsWith(`${name}\n`)) ?? '';
    for (const part of ['Hurts', 'Check', 'Fix', 'Escalate']) expect(section).toContain(`**${part}.**`);
  });

  test('asks only for metrics that something exports', () => expect(unknown(expr)).toEqual([]));
});

test('what is recorded is made of metrics that something exports', () => {
  expect(records.length).toBeGreaterThan(20);
  expect(records.flatMap(({ expr }) => unknown(expr))).toEqual([]);
});

test('each alert has a name of its own', () => {
  const names = alerts.map(({ name }) => name);
  expect(names.length).toBeGreaterThan(50);
  expect(new Set(names).size).toBe(names.length);
});

test('for tests with a real Prometheus times can be shortened', () => {
  const rule = { expr: 'max_over_time(x[1h:1m] offset 15m) + rate(y[5m]) > 10 * 60', for: '2m' };
  const text = JSON.stringify({
    groups: [
      {
        rules: [
          { alert: 'A', ...rule },
          { alert: 'B', ...rule },
        ],
      },
    ],
  });
  const short = shortened(text, { factor: 60, leastMs: 4_000, bounds: ['A'] });
  expect(short).toContain('max_over_time(x[60000ms:4000ms] offset 15000ms) + rate(y[5000ms]) > 10\n');
  expect(short).toContain('rate(y[5000ms]) > 10 * 60');
  expect(short.match(/for: 4000ms/g)).toHaveLength(2);
});

/** Metrics of a rule that neither the catalogue nor a recording rule has. */
function unknown(expr: string): string[] {
  const known = knownMetrics();
  const recorded = new Set(records.map(({ name }) => name));
  return metricsIn(expr).filter(name => !known.has(name) && !known.has(family(name)) && !recorded.has(name));
}
