import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { demandProof } from './possession.js';
import { readPublicKey } from './public-key.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'iocloud-proof-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function signed(type: string, bits: number, text: string): { line: string; signature: string } {
  const file = join(mkdtempSync(join(directory, 'key-')), 'key');
  execFileSync('ssh-keygen', ['-q', '-t', type, '-b', String(bits), '-N', '', '-f', file]);
  const sign = ['-q', '-Y', 'sign', '-n', 'iocloud', '-f', file];
  const signature = execFileSync('ssh-keygen', sign, { input: text, encoding: 'utf8' });
  return { line: readPublicKey(readFileSync(`${file}.pub`, 'utf8')).line, signature };
}

describe('a signature of ssh-keygen -Y sign', () => {
  test.each([
    ['ed25519', 256],
    ['ecdsa', 256],
    ['ecdsa', 384],
    ['ecdsa', 521],
    ['rsa', 2048],
  ])('by a key of type %s of %d bits proves it, for this text alone', (type, bits) => {
    const { line, signature } = signed(type, bits, 'a challenge');
    expect(() => demandProof(line, 'a challenge', signature)).not.toThrow();
    expect(() => demandProof(line, 'another', signature)).toThrow('not one of this challenge');
  });

  test('with any byte changed, cut off or put on proves nothing, and breaks nothing', () => {
    const { line, signature } = signed('ecdsa', 256, 'a challenge');
    const blob = Buffer.from(signature.split('\n').slice(1, -2).join(''), 'base64');
    const armoured = (bytes: Buffer) =>
      `-----BEGIN SSH SIGNATURE-----\n${bytes.toString('base64')}\n-----END SSH SIGNATURE-----\n`;
    expect(() => demandProof(line, 'a challenge', armoured(blob))).not.toThrow();
    for (let at = 0; at < blob.length; at += 1) {
      const changed = Buffer.from(blob);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => demandProof(line, 'a challenge', armoured(changed))).toThrow(/^proof\.signature: /);
      expect(() => demandProof(line, 'a challenge', armoured(blob.subarray(0, at)))).toThrow(/^proof\.signature: /);
    }
    const longer = armoured(Buffer.concat([blob, Buffer.from([0])]));
    expect(() => demandProof(line, 'a challenge', longer)).toThrow(/^proof\.signature: /);
  });
});
