import { describe, expect, test } from '@jest/globals';
import { Failures } from './failures.js';

describe('failed logins', () => {
  test('thirty from one address are borne, the next ones of that address are not, until ten minutes are over', () => {
    let now = 0;
    const failures = new Failures(() => now);
    const said = Array.from({ length: 32 }, () => failures.note('192.0.2.7'));
    expect(said.filter(Boolean)).toHaveLength(1);
    expect(failures.areTooMany('192.0.2.7')).toBe(true);
    expect(failures.areTooMany('::ffff:192.0.2.7')).toBe(true);
    expect(failures.areTooMany('192.0.2.8')).toBe(false);
    now = 10 * 60_000;
    expect(failures.areTooMany('192.0.2.7')).toBe(false);
    failures.note('192.0.2.7');
    expect(failures.areTooMany('192.0.2.7')).toBe(false);
  });

  test('another address of the same IPv6 network is the same one', () => {
    const failures = new Failures(() => 0);
    for (let n = 0; n < 31; n++) failures.note(`2001:db8:0:1::${n.toString(16)}`);
    expect(failures.areTooMany('2001:db8::1:ffff:0:0:1')).toBe(true);
    expect(failures.areTooMany('2001:db8:0:2::1')).toBe(false);
  });

  test('an attacker with very many addresses fills no memory', () => {
    const failures = new Failures(() => 0);
    for (let n = 0; n < 40_000; n++) failures.note(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    for (let n = 0; n < 31; n++) failures.note('192.0.2.1');
    expect(failures.areTooMany('192.0.2.1')).toBe(true);
  });
});
