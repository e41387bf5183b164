import { expect, test } from '@jest/globals';
import { headStartCommand, workerStartCommand } from './ray-start.js';
import { aGroup, aTemplate } from './testing/builders.js';

const none = { autoscaling: false, redis: undefined };

test('a head offers what its container may use', () => {
  const command = headStartCommand({ template: aTemplate('ray-head', { cpu: '1500m', memory: '4Gi' }) }, none);
  expect(command).toBe(
    'ulimit -n 65536; ray start --head --block --dashboard-agent-listen-port=52365 --dashboard-host=0.0.0.0 ' +
      '--memory=4294967296 --metrics-export-port=8080 --num-cpus=2',
  );
});

test('rayStartParams win over what is derived, and flags are bare', () => {
  const rayStartParams = { 'num-cpus': '0', block: 'true', 'dashboard-host': '127.0.0.1', 'no-monitor': 'false' };
  const command = headStartCommand({ template: aTemplate('ray-head'), rayStartParams }, none);
  expect(command).toMatch(/--num-cpus=0$/);
  expect(command).toContain('--dashboard-host=127.0.0.1');
  expect(command).toMatch(/--block( |$)/);
  expect(command).not.toContain('no-monitor');
});

test('with the autoscaler the head runs no monitor of its own', () => {
  const command = headStartCommand({ template: aTemplate('ray-head') }, { ...none, autoscaling: true });
  expect(command).toContain('--no-monitor');
});

test('a worker joins the head and says its GPUs', () => {
  const group = aGroup({ template: aTemplate('ray-worker', { cpu: 8, memory: '16Gi', 'nvidia.com/gpu': 4 }) });
  const command = workerStartCommand(group, 'demo-head-svc.team.svc.cluster.local:6379');
  expect(command).toContain('--address=demo-head-svc.team.svc.cluster.local:6379');
  expect(command).toContain('--num-gpus=4');
});

test("a group's resources and labels reach Ray as words of the shell", () => {
  const group = aGroup({ resources: { CPU: '3', 'io-slots': '0.5' }, labels: { tier: "it's fast" } });
  const command = workerStartCommand(group, 'head:6379');
  expect(command).toContain('--num-cpus=3');
  expect(command).toContain(`--resources='{"io-slots":0.5}'`);
  expect(command).toContain(`--labels='tier=it'\\''s fast'`);
});

test('TPUs are a resource of that name', () => {
  const group = aGroup({ template: aTemplate('ray-worker', { 'google.com/tpu': 4 }) });
  expect(workerStartCommand(group, 'head:6379')).toContain(`--resources='{"TPU":4}'`);
});
