import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readPublicKey } from './public-key.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'iocloud-keys-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A key as ssh-keygen makes it, and the fingerprint that ssh-keygen shows of it. */
function made(type: string, bits: number): { text: string; fingerprint: string; private: string } {
  const file = join(mkdtempSync(join(directory, 'key-')), 'key');
  execFileSync('ssh-keygen', ['-q', '-t', type, '-b', String(bits), '-N', '', '-C', 'me at home', '-f', file]);
  const shown = execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' });
  return {
    text: readFileSync(`${file}.pub`, 'utf8'),
    fingerprint: shown.split(' ')[1] ?? '',
    private: readFileSync(file, 'utf8'),
  };
}

describe('a public key', () => {
  test.each([
    ['ed25519', 256, 'ssh-ed25519'],
    ['ecdsa', 256, 'ecdsa-sha2-nistp256'],
    ['ecdsa', 384, 'ecdsa-sha2-nistp384'],
    ['ecdsa', 521, 'ecdsa-sha2-nistp521'],
    ['rsa', 2048, 'ssh-rsa'],
  ])('of ssh-keygen -t %s -b %d is taken, and named as ssh-keygen names it', (type, bits, name) => {
    const { text, fingerprint } = made(type, bits);
    const key = readPublicKey(text);
    expect(key).toEqual({
      type: name,
      fingerprint,
      comment: 'me at home',
      line: text.trim().split(' ').slice(0, 2).join(' '),
    });
  });

  test('of 1024 bits RSA is refused, with the number', () => {
    expect(() => readPublicKey(made('rsa', 1024).text)).toThrow('2048 bits or more, this has 1024');
  });

  test('that is the private half is refused, so that none is ever kept', () => {
    expect(() => readPublicKey(made('ed25519', 256).private)).toThrow('private key');
  });

  test.each([
    ['', 'expected one line'],
    ['nonsense', 'expected one line'],
    ['ssh-ed25519 AAAA', 'expected one line'],
    ['ssh-dss AAAAB3NzaC1kc3MAAACB', 'no DSA key'],
    ['sk-ssh-ed25519@openssh.com AAAA', 'hardware tokens'],
    ['ssh-ed25519 AAAA\nssh-ed25519 BBBB', 'several lines'],
    ['command="id" ssh-ed25519 AAAA', 'expected one line'],
  ])('%p is refused with what is wrong', (text, words) => {
    expect(() => readPublicKey(text)).toThrow(words);
  });
});
