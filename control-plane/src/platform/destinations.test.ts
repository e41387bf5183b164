import { describe, expect, test } from '@jest/globals';
import { Destinations, RefusedAddress } from './destinations.js';

const none = new Destinations([], 'IOCLOUD_WEBHOOK_NETWORKS');

describe('without a network of the operator', () => {
  test.each([
    '127.0.0.1',
    '127.8.8.8',
    '0.0.0.0',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.169.254',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:a00:1',
    '0:0:0:0:0:ffff:169.254.169.254',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'fe80::1%eth0',
    'fd00:ec2::254',
    'ff02::1',
    'no address',
  ])('nothing goes to %s', address => {
    expect(() => none.demand(address, true)).toThrow(RefusedAddress);
  });

  test.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])('%s is public', address => {
    expect(() => none.demand(address, true)).not.toThrow();
    expect(() => none.demand(address, false)).toThrow('use https');
  });

  test.each([
    'http://example.com/',
    'http://[::1]/',
    'https://[::ffff:7f00:1]/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://user:pass@example.com/',
  ])('%s is refused before it is asked for', url => {
    expect(() => none.demandUrl(new URL(url))).toThrow(RefusedAddress);
  });
});

test('networks that the operator names are open, with or without TLS, and no others', () => {
  const loopback = new Destinations(['127.0.0.0/8', '::1/128'], 'IOCLOUD_WEBHOOK_NETWORKS');
  for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
    expect(() => loopback.demand(address, false)).not.toThrow();
  }
  for (const address of ['10.0.0.1', '169.254.169.254', '::2']) {
    expect(() => loopback.demand(address, true)).toThrow('IOCLOUD_WEBHOOK_NETWORKS');
  }
});
