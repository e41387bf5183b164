import { describe, expect, test } from '@jest/globals';
import { parseTarget } from './inventory.js';
import { isForPassword } from './password.js';
import { reportsIn } from './remote.js';
import { joinCommand, reasonOf, sshWords } from './ssh-line.js';

const target = (line: string) => parseTarget(line.split(' '), 'host');
const settings = { knownHosts: '/home/me %/known hosts', configFile: null, identity: null, password: false };

describe('what ssh is told', () => {
  test('takes a host’s key the first time and no other after, and asks for nothing', () => {
    const words = sshWords(target('root@gpu-1:2222'), settings, 'true');
    expect(words).toEqual(
      expect.arrayContaining([
        'StrictHostKeyChecking=accept-new',
        'UserKnownHostsFile="/home/me %%/known hosts"',
        'BatchMode=yes',
        'ControlPath=none',
        'ForwardAgent=no',
      ]),
    );
    expect(words.slice(-7)).toEqual(['-p', '2222', '-l', 'root', '--', 'gpu-1', 'true']);
  });

  test('goes by the machine’s own key before that of the line, and by the user’s configuration for what was not said', () => {
    const all = { ...settings, identity: '/keys/all', configFile: '/ssh/config' };
    expect(sshWords(target('gpu-3 identity=/keys/one'), all, 'true')).toEqual(
      expect.arrayContaining(['-i', '/keys/one']),
    );
    const words = sshWords(target('gpu-3'), all, 'true');
    expect(words.slice(0, 2)).toEqual(['-F', '/ssh/config']);
    expect(words).not.toContain('-l');
    expect(words).not.toContain('-p');
  });

  test('runs the script with options that no shell takes apart', () => {
    expect(joinCommand(target("h dir=/a'b;$(id)"), true, 'https://cp.example')).toBe(
      `sudo -n sh -s -- --detach --json --control-plane https://cp.example --dir '/a'\\''b;$(id)'`,
    );
  });
});

describe('why it has ended', () => {
  test.each([
    ['ssh: connect to host h port 22: Connection refused\n', 255, 'ssh: connect to host h port 22: Connection refused'],
    ['root@h: Permission denied (publickey,password).\n', 255, 'it takes publickey,password'],
    ['Host key verification failed.\n', 255, 'that of a jump host perhaps'],
    ['  fetching the agent\niocloud: curl is needed: install it and run this again\n', 1, 'curl is needed: install it'],
    [
      'curl: (7) Failed to connect\niocloud: the agent could not be fetched from http://x: can this machine reach it?\n',
      1,
      'can this machine reach it? (curl: (7) Failed to connect)',
    ],
    ['sudo: a password is required\n', 1, 'sudo: a password is required'],
    ['', 255, 'ssh ended with 255'],
    ['', null, 'ssh ended with a signal'],
  ])('%j', (stderr, code, words) => {
    const reason = reasonOf(target('root@h'), code, stderr, '/known');
    expect(reason).toContain(words);
    expect(reason).not.toContain('\n');
  });

  test('names the line of a pin that no longer holds, and the key that is there now', () => {
    const stderr = [
      '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @',
      'The fingerprint for the ED25519 key sent by the remote host is',
      'SHA256:abcDEF123+/.',
      'Offending ED25519 key in /known:7',
      'Host key verification failed.',
    ].join('\n');
    const reason = reasonOf(target('h'), 255, stderr, '/known');
    expect(reason).toContain('now SHA256:abcDEF123+/)');
    expect(reason).toContain('remove line 7 of /known');
  });
});

test('of all that a machine prints reports alone are heard, however they are cut, and endless lines take no memory', async () => {
  const alive = '{"event":"alive"}\n';
  async function* output() {
    yield Buffer.from('Welcome!\n{"event":"al');
    yield Buffer.from('ive"}\n{"event":"dance"}\n{broken\n');
    for (let index = 0; index < 100; index += 1) yield Buffer.alloc(65_536, '{');
    yield Buffer.from(`\n${alive}`);
  }
  const heard = [];
  for await (const report of reportsIn(output())) heard.push(report.event);
  expect(heard).toEqual(['alive', 'alive']);
});

test('a password is given for a password alone', () => {
  expect(isForPassword("root@gpu-1's password: ")).toBe(true);
  expect(isForPassword('(root@gpu-1) Password: \n')).toBe(true);
  for (const other of [
    "Enter passphrase for key '/home/me/.ssh/id_ed25519': ",
    'Are you sure you want to continue connecting (yes/no/[fingerprint])? ',
    'One-time code: ',
  ]) {
    expect(isForPassword(other)).toBe(false);
  }
});
