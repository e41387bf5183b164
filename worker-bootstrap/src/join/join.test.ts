import { describe, expect, test } from '@jest/globals';
import { judge } from './checks.js';
import { agentConfigOf } from './join.js';
import { parseOptions } from './options.js';
import { launchdPlist, systemdUnit } from './service.js';

const root = { isRoot: true, home: '/root' };
const fine = { platform: 'linux' as const, arch: 'x64', onBus: [], seen: [], toolFaults: [], python: null };

describe('judge', () => {
  test('lets a machine pass that has no accelerator, and one whose accelerator can be used', () => {
    expect(judge(fine)).toEqual({ obstacles: [], warnings: [] });
    expect(judge({ ...fine, onBus: ['nvidia'], seen: ['nvidia'] })).toEqual({ obstacles: [], warnings: [] });
    expect(judge({ ...fine, platform: 'darwin', arch: 'arm64', onBus: null })).toEqual({ obstacles: [], warnings: [] });
  });

  test('says what to do about each obstacle, all at once', () => {
    const { obstacles } = judge({
      ...fine,
      platform: 'win32',
      arch: 'ia32',
      toolFaults: ['nvidia-smi cannot be read: Driver/library version mismatch'],
      python: { fault: 'Python 3.10 to 3.14 is needed (python3 is 3.8): install one and run again' },
    });
    expect(obstacles).toEqual([
      expect.stringContaining('WSL 2'),
      expect.stringContaining('x64 and arm64'),
      expect.stringContaining('3.8'),
      expect.stringContaining('Repair the driver'),
    ]);
  });

  test('tells of an accelerator without a driver, and goes on without it', () => {
    expect(judge({ ...fine, onBus: ['nvidia'] })).toEqual({
      obstacles: [],
      warnings: [expect.stringContaining('install the NVIDIA driver')],
    });
  });
});

describe('parseOptions', () => {
  const plane = ['--control-plane', 'https://cp.example/'];
  test('has a place for root and one for others', () => {
    expect(parseOptions(plane, root)).toMatchObject({
      controlPlane: 'https://cp.example',
      directory: '/var/lib/iocloud-agent',
    });
    expect(parseOptions(plane, { isRoot: false, home: '/home/me' }).directory).toBe('/home/me/.iocloud-agent');
  });
  test.each([
    [[], 'must be the control plane'],
    [['--control-plane', 'ftp://x'], 'must be the control plane'],
    [[...plane, '--cpus', 'many'], '--cpus: many is no positive number'],
    [[...plane, '--isolation', 'container'], 'needs an image: add --container-image'],
    [[...plane, '--isolation', 'none'], 'none is none of auto, container, namespace, token-only'],
    [[...plane, '--colour', 'red'], '--colour'],
  ])('refuses %j in words', (args, words) => {
    expect(() => parseOptions(args, root)).toThrow(words);
  });
});

test('the agent talks to the host that the script came from, unless told another, and to no other key', () => {
  const options = parseOptions(['--control-plane', 'https://cp.example', '--cpus', '4'], root);
  const answer = { status: 'approved', nodeId: 'nd_1' as never, name: 'n', online: false, releaseKey: null } as const;
  const ssh = { host: null, port: 8266, hostKey: 'ssh-ed25519 AAAA' };
  expect(agentConfigOf(options, { ...answer, ssh }, '/venv')).toMatchObject({
    controlPlane: { host: 'cp.example', port: 8266, hostKey: 'ssh-ed25519 AAAA' },
    rayEnvironments: { '2.60.0': '/venv' },
    cpus: 4,
  });
  const elsewhere = { ...ssh, host: 'ssh.example' };
  expect(agentConfigOf(options, { ...answer, ssh: elsewhere }, '/venv').controlPlane.host).toBe('ssh.example');
});

describe('the units', () => {
  const program = {
    node: '/usr/bin/node',
    main: '/var/lib/a "b"/100%/main.mjs',
    config: '/c/agent.json',
    directory: '/var/lib/a',
    isRoot: true,
  };
  test('an agent that is started anew by systemd leaves its Ray nodes running', () => {
    const unit = systemdUnit(program);
    expect(unit).toContain(
      'ExecStart="/usr/bin/node" "/var/lib/a \\"b\\"/100%%/main.mjs" "--config" "/c/agent.json" "--keep-leases"\n',
    );
    expect(unit).toMatch(/^KillMode=process$/m);
    expect(unit).toMatch(/^Restart=always$/m);
    // Three starts of a release that fails, and the one before: no limit may come in between.
    expect(unit).toMatch(/^StartLimitIntervalSec=0$/m);
    expect(unit).toMatch(/^WantedBy=multi-user.target$/m);
    expect(systemdUnit({ ...program, isRoot: false })).toMatch(/^WantedBy=default.target$/m);
  });
  test('launchd gets text that is well formed whatever the paths are', () => {
    const plist = launchdPlist({ ...program, main: '/a & <b>/main.mjs' });
    expect(plist).toContain('<string>/a &amp; &lt;b&gt;/main.mjs</string>');
    expect(plist).toContain('<key>AbandonProcessGroup</key><true/>');
  });
});
