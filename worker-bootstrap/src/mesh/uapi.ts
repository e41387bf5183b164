/**
 * WireGuard's cross-platform configuration protocol (https://www.wireguard.com/xplatform/), as wireguard-go serves it on a
 * unix socket. What is sent and read is made and parsed by pure functions.
 */
import { once } from 'node:events';
import { connect } from 'node:net';

/** What to set of a peer; what is absent stays. */
export interface PeerSetting {
  /** Base64, as everywhere but on the wire. */
  publicKey: string;
  endpoint?: string;
  allowedIps?: readonly string[];
  /** Seconds; also sends a keepalive at once. */
  keepalive?: number;
  /** Forgets the peer first, and with it the session: the next packet begins a handshake. */
  fresh?: boolean;
  remove?: boolean;
}

export interface DeviceSetting {
  privateKey?: string;
  listenPort?: number;
  peers?: readonly PeerSetting[];
}

export interface PeerStatus {
  publicKey: string;
  endpoint: string | null;
  /** Milliseconds since the epoch; null: none yet. */
  handshakeAtMs: number | null;
  receivedBytes: number;
  sentBytes: number;
}

export interface DeviceStatus {
  listenPort: number;
  peers: Map<string, PeerStatus>;
}

const hex = (base64: string) => Buffer.from(base64, 'base64').toString('hex');
const base64 = (text: string) => Buffer.from(text, 'hex').toString('base64');

export function settingText({ privateKey, listenPort, peers = [] }: DeviceSetting): string {
  const lines = ['set=1'];
  if (privateKey !== undefined) lines.push(`private_key=${hex(privateKey)}`);
  if (listenPort !== undefined) lines.push(`listen_port=${listenPort}`);
  for (const peer of peers) lines.push(...peerLines(peer));
  return `${lines.join('\n')}\n\n`;
}

function peerLines({ publicKey, endpoint, allowedIps, keepalive, fresh, remove }: PeerSetting): string[] {
  const key = `public_key=${hex(publicKey)}`;
  if (remove) return [key, 'remove=true'];
  const lines = fresh ? [key, 'remove=true', key] : [key];
  if (endpoint !== undefined) lines.push(`endpoint=${endpoint}`);
  if (allowedIps !== undefined)
    lines.push('replace_allowed_ips=true', ...allowedIps.map(block => `allowed_ip=${block}`));
  // Only one that is turned on sends a keepalive at once.
  if (keepalive !== undefined) {
    lines.push('persistent_keepalive_interval=0', `persistent_keepalive_interval=${keepalive}`);
  }
  return lines;
}

export function parseStatus(text: string): DeviceStatus {
  const status: DeviceStatus = { listenPort: 0, peers: new Map() };
  let peer: PeerStatus | undefined;
  for (const line of text.split('\n')) {
    const [key = '', value = ''] = line.split('=', 2);
    if (key === 'public_key') {
      peer = { publicKey: base64(value), endpoint: null, handshakeAtMs: null, receivedBytes: 0, sentBytes: 0 };
      status.peers.set(peer.publicKey, peer);
    } else if (key === 'listen_port') status.listenPort = Number(value);
    else if (!peer) continue;
    else if (key === 'endpoint') peer.endpoint = value;
    else if (key === 'rx_bytes') peer.receivedBytes = Number(value);
    else if (key === 'tx_bytes') peer.sentBytes = Number(value);
    else if (key === 'last_handshake_time_sec') peer.handshakeAtMs = Number(value) * 1_000 || null;
  }
  return status;
}

/** Nobody serves the device: its process has ended. */
export const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '');

const answerTimeoutMs = 5_000;

/** One operation. Throws with the error number that the device gives. */
export async function operate(socketPath: string, request: string): Promise<string> {
  const socket = connect({ path: socketPath });
  socket.setTimeout(answerTimeoutMs, () => socket.destroy(new Error(`${socketPath}: no answer`)));
  try {
    await once(socket, 'connect');
    socket.write(request);
    let answer = '';
    for await (const chunk of socket) {
      answer += chunk;
      if (answer.endsWith('\n\n')) break;
    }
    const fault = /^errno=(-?\d+)$/m.exec(answer)?.[1];
    if (fault !== '0') throw new Error(`${socketPath}: errno ${fault ?? 'none: the answer was cut off'}`);
    return answer;
  } finally {
    socket.destroy();
  }
}

export const statusRequest = 'get=1\n\n';
