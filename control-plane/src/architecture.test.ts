/** What ARCHITECTURE.md says of the code, held against the code. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { transitions } from './clusters/life.js';
import { arrayTransitions } from './core/arrays/index.js';
import { megaTransitions } from './core/mega/index.js';
import { workloadTransitions } from './core/queueing/index.js';
import { rolloutTransitions } from './core/rollouts/index.js';
import { payoutTransitions } from './core/settlement/index.js';
import { proposalTransitions, slashTransitions } from './core/token/index.js';
import { verificationTransitions } from './core/verification/index.js';
import { deliveryTransitions } from './core/webhooks/index.js';
import { schedulingTransitions } from './inventory/draining.js';
import { attemptTransitions, jobTransitions } from './jobs/states.js';

const source = fileURLToPath(new URL('.', import.meta.url));
const architecture = readFileSync(join(source, '../../ARCHITECTURE.md'), 'utf8');

function diagram(table: Record<string, Record<string, string>>): string {
  const arrows = Object.entries(table).flatMap(([from, events]) =>
    Object.entries(events).map(([event, to]) => `  ${from} --> ${to}: ${event}`),
  );
  return ['```mermaid', 'stateDiagram-v2', ...arrows, '```'].join('\n');
}

const clusterTable = Object.fromEntries(
  Object.entries(transitions).map(([from, events]) => [
    from,
    Object.fromEntries(Object.entries(events).map(([event, { to }]) => [event, to])),
  ]),
);

test.each([
  ['cluster', diagram(clusterTable)],
  ['job', diagram(jobTransitions as Record<string, Record<string, string>>)],
  ['array job', diagram(arrayTransitions as Record<string, Record<string, string>>)],
  ['Mega-Ray cluster', diagram(megaTransitions as Record<string, Record<string, string>>)],
  ['machine', diagram(schedulingTransitions as Record<string, Record<string, string>>)],
  ['attempt', diagram(attemptTransitions as Record<string, Record<string, string>>)],
  ['verification', diagram(verificationTransitions as Record<string, Record<string, string>>)],
  ['roll-out', diagram(rolloutTransitions as Record<string, Record<string, string>>)],
  ['message to a webhook', diagram(deliveryTransitions as Record<string, Record<string, string>>)],
  ['payout', diagram(payoutTransitions as Record<string, Record<string, string>>)],
  ['slash', diagram(slashTransitions as Record<string, Record<string, string>>)],
  ['proposal', diagram(proposalTransitions as Record<string, Record<string, string>>)],
  ['workload', diagram(workloadTransitions as Record<string, Record<string, string>>)],
])('the drawing of the life of a %s is that of its table', (_name, drawing) => {
  expect(architecture).toContain(drawing);
});

describe('dependencies point inward', () => {
  const files = (readdirSync(source, { recursive: true }) as string[])
    .filter(name => name.endsWith('.ts') && statSync(join(source, name)).isFile())
    .map(name => name.replaceAll('\\', '/'));
  const imports = files.flatMap(file =>
    [...readFileSync(join(source, file), 'utf8').matchAll(/from '(\.[^']+)'/g)].map(([, target]) => ({
      file,
      to: relative(source, resolve(source, dirname(file), target ?? '')).replace(/\.js$/, '.ts'),
    })),
  );
  const domains = [
    'accounts',
    'agent-releases',
    'billing',
    'clusters',
    'enrolment',
    'events',
    'inventory',
    'invoices',
    'jobs',
    'ledger',
    'mega',
    'mesh',
    'metering',
    'pages',
    'platform',
    'pricing',
    'providers',
    'settlement',
    'token',
    'tunnels',
    'verification',
    'webhooks',
  ];
  const domainOf = (file: string) => domains.find(domain => file.startsWith(`${domain}/`));

  test('there is something to look at', () => expect(imports.length).toBeGreaterThan(100));

  test('core knows nothing but itself', () => {
    const outside = imports.filter(({ file, to }) => file.startsWith('core/') && !to.startsWith('core/'));
    expect(outside).toEqual([]);
  });

  test('core does no I/O and asks nobody for the time', () => {
    const core = files.filter(file => file.startsWith('core/') && !file.endsWith('.test.ts'));
    const impure = core.filter(file =>
      /from 'node:|Date\.now|new Date\(\)|Math\.random|process\./.test(readFileSync(join(source, file), 'utf8')),
    );
    expect(core.length).toBeGreaterThan(5);
    expect(impure).toEqual([]);
  });

  test('only the ledger speaks to its tables', () => {
    const others = files.filter(file => !/^(ledger|core)\/|\.test\.ts$|\/testing\//.test(file));
    const trespassers = others.filter(file =>
      /ledger_(accounts|balances|transactions|postings)/.test(readFileSync(join(source, file), 'utf8')),
    );
    expect(trespassers).toEqual([]);
  });

  test('platform knows no domain', () => {
    const upward = imports.filter(
      ({ file, to }) => file.startsWith('platform/') && domainOf(to) !== 'platform' && domainOf(to) !== undefined,
    );
    expect(upward).toEqual([]);
  });

  test('a domain is reached through its index.ts, or its ports.ts for types', () => {
    const trespasses = imports.filter(({ file, to }) => {
      const from = domainOf(file);
      const target = domainOf(to);
      const inTests = /\.test\.ts$|\/testing\/|^test-ground/.test(file);
      return target && from && from !== target && !inTests && !new RegExp(`^${target}/(index|ports)\\.ts$`).test(to);
    });
    expect(trespasses).toEqual([]);
  });
});
