/** Machines that are offered to others prove what they are, with the real agent and program; one that cheats gets no work. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Machine, repository, Stack, until } from './harness/index.js';

jest.setTimeout(240_000);

let stack: Stack;
let stranger: string;
beforeAll(async () => {
  // Other tests may run beside this one: what is in time elsewhere need not be here.
  stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '1', IOCLOUD_VERIFICATION_SLACK: '20' } });
  stranger = (await stack.call('POST', '/v1/tenants', { name: 'renter' })).body.apiKey.secret;
});
afterAll(() => stack?.stop());

const asStranger = () => ({ authorization: `Bearer ${stranger}` });
const verdictOf = async (machine: Machine) =>
  (await stack.call('GET', `/v1/nodes/${machine.id}/verifications`)).body.items[0];
const submitted = (entrypoint: string) =>
  stack.call('POST', '/api/jobs/', { entrypoint, metadata: { 'io.wait_for_machines': 'true' } }, asStranger());

async function iocloud(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await stack.iocloud(...args);
  if (code !== 0) throw new Error(`iocloud ${args.join(' ')} exited with ${code}: ${stderr}`);
  return stdout;
}

/** The program as a supplier might change it on its own machine: it copies layers instead of computing them. */
function cheatingEnvironment(): Record<string, string> {
  const own = JSON.parse(readFileSync(join(stack.home, 'agent.json'), 'utf8')) as {
    rayEnvironments: Record<string, string>;
  };
  const [[release, environment] = ['', '']] = Object.entries(own.rayEnvironments);
  const directory = join(stack.home, 'cheating');
  mkdirSync(join(directory, 'bin'), { recursive: true });
  const program = join(directory, 'cheat.py');
  writeFileSync(
    program,
    `import sys
sys.path.insert(0, ${JSON.stringify(join(repository, 'worker-bootstrap/python'))})
import prove
prove.next_matrix = lambda before, words, blocks, products, block: before[block]
prove.main()
`,
  );
  const python = join(directory, 'bin/python');
  writeFileSync(
    python,
    `#!/bin/sh
for last in "$@"; do :; done
case "$*" in *prove.py*) exec ${environment}/bin/python ${program} "$last" ;; esac
exec ${environment}/bin/python "$@"
`,
  );
  chmodSync(python, 0o755);
  return { [release]: directory };
}

test('an honest machine is offered to others within two minutes of joining, and their job runs there', async () => {
  const early = await submitted('echo done');
  expect(early.status).toBe(200);
  const joinedAt = Date.now();
  const honest = await stack.machine('honest', { shared: true, cpus: 1 });
  await until('it is verified', 120_000, async () => (await honest.show()).eligible);
  expect(Date.now() - joinedAt).toBeLessThan(120_000);
  expect(await verdictOf(honest)).toMatchObject({ verdict: 'passed', device: { index: null }, passesNeeded: 4 });
  const { submission_id: id } = early.body;
  await until('the job that waited has ended', 120_000, async () => {
    const { body } = await stack.call('GET', `/api/jobs/${id}`, undefined, asStranger());
    return body.status === 'SUCCEEDED';
  });
  const { clusterId } = (await stack.call('GET', `/v1/jobs/${id}`, undefined, asStranger())).body;
  const { leases } = (await stack.call('GET', `/v1/clusters/${clusterId}`, undefined, asStranger())).body;
  expect(leases[0].nodeId).toBe(honest.id);
});

test('one that cheats is found out, is not offered, and can appeal; who may not decide cannot', async () => {
  const cheat = await stack.machine('cheat', { shared: true, cpus: 1, rayEnvironments: cheatingEnvironment() });
  await until('it is judged', 120_000, async () => (await verdictOf(cheat))?.verdict);
  const verdict = await verdictOf(cheat);
  expect(verdict).toMatchObject({
    verdict: 'failed',
    tries: 1,
    reason: expect.stringContaining('is not what the work comes to'),
  });
  expect(await cheat.show()).toMatchObject({ eligible: false, shared: true });
  await until('its reputation has fallen', 30_000, async () => (await cheat.show()).reputation < 0.5);

  const list = await iocloud('node', 'verification', 'cheat');
  expect(list).toMatch(/failed .*not what the work comes to/);
  const details = await iocloud('node', 'verification', 'cheat', verdict.id);
  expect(details).toMatch(/computed-right +no/);
  expect(details).toContain(verdict.seed);
  expect(await iocloud('node', 'show', 'cheat')).toContain('until it is verified');
  const events = (await stack.call('GET', `/v1/events?subject=${cheat.id}`)).body.items;
  expect(events.map((event: { reason: string }) => event.reason)).toContain('DeviceFailedVerification');

  const path = `/v1/nodes/${cheat.id}/verifications`;
  expect((await stack.call('GET', path, undefined, asStranger())).status).toBe(404);
  expect((await stack.call('POST', `${path}/${verdict.id}/appeal`, { reason: 'x' }, asStranger())).status).toBe(404);
  expect((await stack.call('POST', path)).status).toBe(429);
  await iocloud('node', 'appeal', 'cheat', verdict.id, '--reason', 'the machine was being repaired');
  expect(await iocloud('appeal', 'list')).toContain('the machine was being repaired');
  const decision = { decision: 'accepted', reason: 'so it was' };
  expect((await stack.call('POST', `/v1/appeals/${verdict.id}`, decision, asStranger())).status).toBe(403);
  await iocloud('appeal', 'accept', verdict.id, '--reason', 'so it was');
  await until('its reputation is back', 30_000, async () => (await cheat.show()).reputation > 0.7);
  expect(await cheat.show()).toMatchObject({ eligible: false });
  expect(await iocloud('appeal', 'list')).toContain('no appeals');
});
