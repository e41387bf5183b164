import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { newSshKeyPair } from '@iocloud/contracts/wire';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseMapping } from './port-forward.js';
import { configBlock, pin, type SshTarget, shellLine, sshArguments } from './ssh.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'iocloud-ssh-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const target = (): SshTarget => ({
  host: 'cp.example',
  port: 2222,
  user: 'team+workers-0',
  knownHosts: path.join(directory, 'with space', 'known_hosts'),
});

/** What the OpenSSH client makes of it. */
const parsed = (args: string[]): string => execFileSync('ssh', ['-G', ...args], { encoding: 'utf8' });

describe('what ssh is told', () => {
  test('the OpenSSH client reads a block of the configuration as it is meant', () => {
    const file = path.join(directory, 'config');
    writeFileSync(file, `${configBlock('iocloud-team', target())}\n`);
    const read = parsed(['-F', file, 'iocloud-team']);
    for (const line of ['user team+workers-0', 'hostname cp.example', 'port 2222', 'stricthostkeychecking true']) {
      expect(read).toContain(`${line}\n`);
    }
    expect(read).toContain(`userknownhostsfile ${target().knownHosts}\n`);
    expect(read).toMatch(/^ciphers aes128-gcm@openssh.com,/m);
  });

  test('and arguments likewise, command and all', () => {
    const args = sshArguments(target(), ['ls', '-l']);
    expect(args.slice(-3)).toEqual(['team+workers-0@cp.example', 'ls', '-l']);
    expect(parsed(args)).toContain(`userknownhostsfile ${target().knownHosts}\n`);
  });

  test('a printed line is one that a shell takes as it is', () => {
    const words = ['ssh', "it's", 'a b', '$HOME', 'plain'];
    expect(execFileSync('sh', ['-c', `printf '%s|' ${shellLine(words)}`], { encoding: 'utf8' })).toBe(
      `${words.join('|')}|`,
    );
  });
});

describe('the host key', () => {
  test('is kept at first, and another one for the same address is refused ever after', async () => {
    const file = path.join(directory, 'config', 'known_hosts');
    const key = (text: string) => text.split(' ').slice(0, 2).join(' ');
    const first = { port: 2222, hostKey: key(newSshKeyPair().public), fingerprint: 'SHA256:a' };
    await pin(file, 'cp.example', first);
    await pin(file, 'cp.example', first);
    await pin(file, 'other.example', { ...first, port: 22 });
    expect(readFileSync(file, 'utf8')).toBe(`[cp.example]:2222 ${first.hostKey}\nother.example ${first.hostKey}\n`);
    const second = { ...first, hostKey: key(newSshKeyPair().public) };
    await expect(pin(file, 'cp.example', second)).rejects.toThrow('another one than before');
    expect(readFileSync(file, 'utf8')).not.toContain(second.hostKey);
  });
});

describe('ports to forward', () => {
  test.each([
    ['8888', 8888, 8888],
    ['18888:8888', 18888, 8888],
    [':8888', 0, 8888],
    ['0:8888', 0, 8888],
  ])('%s', (text, local, remote) => expect(parseMapping(text)).toEqual({ local, remote }));

  test.each(['', '0', '1:0', '70000', '1:70000', 'a', '1:2:3', '127.0.0.1:80', '-1'])('%p is refused', text => {
    expect(() => parseMapping(text)).toThrow('is no port');
  });
});
