import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parseConfig } from './config.js';
import { createDeviceKey, readDeviceKey } from './device-key.js';

const directory = mkdtempSync(join(tmpdir(), 'iocloud-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

const good = {
  controlPlane: { host: 'cloud.example', port: 2222, hostKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==' },
  nodeId: 'nd_0123456789abcdefghjk',
  deviceKeyFile: '/etc/iocloud/device-key',
  stateDir: '/var/lib/iocloud',
  rayEnvironments: { '2.60.0': '/opt/ray' },
};
const faultOf = (value: unknown) => {
  try {
    parseConfig(JSON.stringify(value), 'agent.json');
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

describe('the configuration', () => {
  test('has defaults for all that a machine need not say', () => {
    expect(parseConfig(JSON.stringify(good), 'agent.json')).toMatchObject({
      isolation: 'auto',
      simulatedDevices: [],
      keepLeases: false,
    });
  });

  test.each([
    [{ ...good, isolatoin: 'auto' }, 'unknown key isolatoin'],
    [{ ...good, controlPlane: { ...good.controlPlane, prot: 1 } }, 'unknown key controlPlane.prot'],
    [{ ...good, controlPlane: { ...good.controlPlane, hostKey: 'ssh-rsa AAAA' } }, 'controlPlane.hostKey'],
    [{ ...good, stateDir: 'relative' }, 'stateDir: expected an absolute path'],
    [{ ...good, nodeId: 'me' }, 'nodeId'],
    [{ ...good, isolation: 'container' }, 'container: isolation "container" needs an image'],
    [{ ...good, allowedNetworks: ['10.0.0.0'] }, 'allowedNetworks.0'],
    [{ ...good, rayEnvironments: { newest: '/opt/ray' } }, 'rayEnvironments.newest'],
  ])('names the fault in one line (%#)', (value, named) => {
    const fault = faultOf(value);
    expect(fault).toContain('agent.json: ');
    expect(fault).toContain(named);
    expect(fault).not.toContain('\n');
  });

  test('that is not JSON is told so', () => {
    expect(() => parseConfig('{', 'agent.json')).toThrow('agent.json: is not JSON');
  });
});

describe('a device key', () => {
  test('is made once, readable by its owner alone, and stays the same', () => {
    const file = join(directory, 'key');
    const line = createDeviceKey(file);
    expect(line).toMatch(/^ssh-ed25519 [A-Za-z0-9+/=]+$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(createDeviceKey(file)).toBe(line);
  });

  test('that is none is refused without showing the file', () => {
    const file = join(directory, 'other');
    writeFileSync(file, 'not a key, but perhaps a secret');
    expect(() => readDeviceKey(file)).toThrow('holds no private ed25519 key');
    expect(() => readDeviceKey(file)).not.toThrow('secret');
  });
});
