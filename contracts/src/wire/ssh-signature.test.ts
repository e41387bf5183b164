import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { currentKey } from './release-trust.js';
import { newSshKeyPair } from './ssh-key.js';
import { ed25519Line, publicLineOf, signSsh, verifySsh } from './ssh-signature.js';

const key = newSshKeyPair('ours');
const other = newSshKeyPair();
const message = 'what was signed\n';
let directory: string;
const file = (name: string) => join(directory, name);
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'iocloud-sshsig-'));
  writeFileSync(file('key'), key.private, { mode: 0o600 });
  writeFileSync(file('message'), message);
  writeFileSync(file('allowed'), `operator ${key.public}\n`);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('OpenSSH and we', () => {
  test('verify each other’s signatures', () => {
    execFileSync('ssh-keygen', ['-q', '-Y', 'sign', '-f', file('key'), '-n', 'releases', file('message')], {
      stdio: 'pipe',
    });
    expect(verifySsh(readFileSync(file('message.sig'), 'utf8'), key.public, 'releases', message)).toBe(true);
    writeFileSync(file('ours.sig'), signSsh(key.private, 'releases', message));
    const check = ['-Y', 'verify', '-f', file('allowed'), '-I', 'operator', '-n', 'releases', '-s', file('ours.sig')];
    expect(execFileSync('ssh-keygen', check, { input: message }).toString()).toContain('Good "releases" signature');
    expect(() => execFileSync('ssh-keygen', check, { input: `${message}x`, stdio: 'pipe' })).toThrow();
  });

  test('read keys alike', () => {
    expect(publicLineOf(key.private)).toBe(ed25519Line(key.public));
    expect([ed25519Line('ssh-rsa AAAA'), ed25519Line(key.private), ed25519Line('')]).toEqual([null, null, null]);
    expect(() => signSsh('no key', 'releases', message)).toThrow('no private ed25519 key');
  });
});

describe('a signature', () => {
  const signature = signSsh(key.private, 'releases', message);
  test('counts for its key, its purpose and its message alone', () => {
    expect(verifySsh(signature, key.public, 'releases', message)).toBe(true);
    expect(verifySsh(signature, other.public, 'releases', message)).toBe(false);
    expect(verifySsh(signature, key.public, 'keys', message)).toBe(false);
    expect(verifySsh(signature, key.public, 'releases', `${message} `)).toBe(false);
  });

  test('with any byte changed, cut short or made up counts for nothing, and throws nothing', () => {
    const lines = signature.trim().split('\n');
    const blob = Buffer.from(lines.slice(1, -1).join(''), 'base64');
    const armoured = (bytes: Uint8Array) => `${lines[0]}\n${Buffer.from(bytes).toString('base64')}\n${lines.at(-1)}\n`;
    expect(verifySsh(armoured(blob), key.public, 'releases', message)).toBe(true);
    fc.assert(
      fc.property(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const bad = Buffer.from(blob);
        bad[at] = (bad[at] ?? 0) ^ mask;
        expect(verifySsh(armoured(bad), key.public, 'releases', message)).toBe(false);
        expect(verifySsh(armoured(blob.subarray(0, at)), key.public, 'releases', message)).toBe(false);
      }),
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        bytes => !verifySsh(armoured(bytes), key.public, 'releases', message),
      ),
    );
  });
});

test('the office of a key goes on only by its own hand, and never back', () => {
  const pass = (by: { private: string }, to: { public: string }) => ({
    publicKey: `${to.public}\n`,
    signature: signSsh(by.private, 'iocloud-agent-key', `${to.public}\n`),
  });
  const third = newSshKeyPair();
  const chain = [pass(key, other), pass(other, third)];
  for (const pinned of [key, other, third])
    expect(currentKey(pinned.public, chain)).toBe(ed25519Line(third.public) ?? '');
  expect(currentKey(key.public, [pass(third, third)])).toBe(key.public);
  expect(currentKey(third.public, [pass(key, other)])).toBe(third.public);
});
