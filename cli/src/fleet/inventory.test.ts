import { describe, expect, test } from '@jest/globals';
import { parseInventory, parseTarget, refuseTwins } from './inventory.js';

describe('an inventory', () => {
  test('has a machine a line, with how to log in, what it is called, its terms and its options', () => {
    const text = [
      '# all of the attic',
      'root@gpu-1.example:2222 name=gpu-1 country=DE gpu-price=2.50 # the big one',
      '',
      '\tops@[2001:db8::1] shared identity=/keys/ops dir=/data/agent cpus=64\r',
      'gpu-3 user=me port=23 compliance=soc2,gdpr',
    ].join('\n');
    expect(parseInventory(text, 'file')).toEqual([
      {
        key: 'root@gpu-1.example:2222',
        user: 'root',
        host: 'gpu-1.example',
        port: 2222,
        name: 'gpu-1',
        shared: false,
        identity: null,
        terms: { country: 'DE', gpuPrice: 2_500_000 },
        install: [],
      },
      expect.objectContaining({
        user: 'ops',
        host: '2001:db8::1',
        port: null,
        name: '2001-db8--1',
        shared: true,
        identity: '/keys/ops',
        install: ['--dir', '/data/agent', '--cpus', '64'],
      }),
      expect.objectContaining({
        user: 'me',
        host: 'gpu-3',
        port: 23,
        name: 'gpu-3',
        terms: { compliance: 'soc2,gdpr' },
      }),
    ]);
  });

  test.each([
    ['-oProxyCommand=id', 'is no [user@]host[:port]'],
    ['-l@host', 'is no [user@]host[:port]'],
    ['me@-host', 'is no [user@]host[:port]'],
    ['a;b', 'is no [user@]host[:port]'],
    ['host:0', '0 is no port'],
    ['host:65536', 'is no port'],
    ['host colour=red', 'there is no setting colour='],
    ['host name=', 'neither shared nor a setting'],
    ['host sharde', 'neither shared nor a setting'],
    [`host name=${'x'.repeat(64)}`, 'at most 63'],
    ['host gpu-price=dear', 'gpu-price='],
    ['host user=-x', 'there is no setting user='],
    ['host __proto__=x', 'there is no setting'],
  ])('refuses %j with its line', (line, words) => {
    const parse = () => parseInventory(`ok\n${line}`, 'fleet.txt');
    expect(parse).toThrow('fleet.txt, line 2: ');
    expect(parse).toThrow(words);
  });

  test('that has a machine or a name twice is refused', () => {
    const targets = (...lines: string[]) => lines.map(line => parseTarget(line.split(' '), 'host'));
    expect(() => refuseTwins(targets('a', 'b', 'a'))).toThrow('a is there twice');
    expect(() => refuseTwins(targets('a name=x', 'b name=x'))).toThrow('x is there twice: say name=');
    expect(() => refuseTwins(targets('a:1', 'a:2'))).not.toThrow();
  });
});
