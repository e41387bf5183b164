import { expect, test } from '@jest/globals';
import { parseStatus, settingText } from './uapi.js';

const key = Buffer.alloc(32, 7).toString('base64');
const inHex = '07'.repeat(32);

test('a device is told its key and port, and a peer where it is and what it may send', () => {
  const peer = { publicKey: key, endpoint: '192.0.2.1:5', allowedIps: ['100.64.2.0/24'], keepalive: 2 };
  expect(settingText({ privateKey: key, listenPort: 0, peers: [peer] })).toBe(
    [
      'set=1',
      `private_key=${inHex}`,
      'listen_port=0',
      `public_key=${inHex}`,
      'endpoint=192.0.2.1:5',
      'replace_allowed_ips=true',
      'allowed_ip=100.64.2.0/24',
      'persistent_keepalive_interval=0',
      'persistent_keepalive_interval=2',
      '\n',
    ].join('\n'),
  );
});

test('a fresh peer is forgotten and made anew, one that has left is only forgotten', () => {
  expect(settingText({ peers: [{ publicKey: key, fresh: true, endpoint: '192.0.2.1:5' }] })).toBe(
    `set=1\npublic_key=${inHex}\nremove=true\npublic_key=${inHex}\nendpoint=192.0.2.1:5\n\n`,
  );
  expect(settingText({ peers: [{ publicKey: key, remove: true }] })).toBe(
    `set=1\npublic_key=${inHex}\nremove=true\n\n`,
  );
});

test('what the device says of its peers is read, with or without a handshake', () => {
  const other = '08'.repeat(32);
  const text = [
    `private_key=${inHex}`,
    'listen_port=51820',
    `public_key=${inHex}`,
    'endpoint=192.0.2.1:51821',
    'last_handshake_time_sec=1700000000',
    'last_handshake_time_nsec=5',
    'rx_bytes=148',
    'tx_bytes=92',
    `public_key=${other}`,
    'last_handshake_time_sec=0',
    'errno=0',
    '\n',
  ].join('\n');
  const { listenPort, peers } = parseStatus(text);
  expect(listenPort).toBe(51_820);
  expect([...peers.values()]).toEqual([
    {
      publicKey: key,
      endpoint: '192.0.2.1:51821',
      handshakeAtMs: 1_700_000_000_000,
      receivedBytes: 148,
      sentBytes: 92,
    },
    {
      publicKey: Buffer.alloc(32, 8).toString('base64'),
      endpoint: null,
      handshakeAtMs: null,
      receivedBytes: 0,
      sentBytes: 0,
    },
  ]);
});
