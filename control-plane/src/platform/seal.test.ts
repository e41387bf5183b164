import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Seal, Signer } from './seal.js';

const key = Buffer.alloc(32, 7);

describe('a sealed text', () => {
  test('opens under its own context alone', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (plain, context, other) => {
        const seal = new Seal(key);
        const sealed = seal.seal(plain, context);
        expect(seal.open(sealed, context)).toBe(plain);
        if (other !== context) expect(() => seal.open(sealed, other)).toThrow();
      }),
    );
  });

  test('does not open once a bit of it has changed, nor with another key', () => {
    const sealed = new Seal(key).seal('a token', 'cl_1');
    fc.assert(
      fc.property(fc.nat(sealed.length * 8 - 1), bit => {
        const altered = Buffer.from(sealed);
        altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => new Seal(key).open(altered, 'cl_1')).toThrow();
      }),
    );
    expect(() => new Seal(Buffer.alloc(32, 8)).open(sealed, 'cl_1')).toThrow();
    expect(sealed.includes('token')).toBe(false);
  });
});

describe('a signed token', () => {
  const at = (now: number) => new Signer('secret', () => now);

  test('tells its value until it expires', () => {
    const token = at(1_000).sign('link', { clusterId: 'cl_1' }, 500);
    expect(at(1_499).verify('link', token)).toMatchObject({ clusterId: 'cl_1' });
    expect(at(1_500).verify('link', token)).toBeNull();
  });

  test('is good for its purpose alone, and only from whoever has the secret', () => {
    const token = at(0).sign('link', {}, 500);
    expect(at(0).verify('session', token)).toBeNull();
    expect(new Signer('another', () => 0).verify('link', token)).toBeNull();
  });

  test('cannot be made up or altered', () => {
    const token = at(0).sign('link', { a: 1 }, 500);
    const [body = '', mac = ''] = token.split('.');
    const richer = Buffer.from(JSON.stringify({ a: 2, exp: 500 })).toString('base64url');
    for (const forged of ['', '.', body, `${body}.`, `.${mac}`, `${richer}.${mac}`, `${token}.x`, `${body}.${mac}AA`]) {
      expect([forged, at(0).verify('link', forged)]).toEqual([forged, null]);
    }
    fc.assert(fc.property(fc.string(), text => expect(at(0).verify('link', text)).toBeNull()));
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (const [index, was] of [...token].entries()) {
      for (const digit of digits) {
        const altered = token.slice(0, index) + digit + token.slice(index + 1);
        if (digit !== was) expect([altered, at(0).verify('link', altered)]).toEqual([altered, null]);
      }
    }
  });
});
