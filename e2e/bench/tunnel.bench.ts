/**
 * A renter's forwarded port (`ssh -L` through the control plane to the agent and into the lease) beside the same two hops
 * through OpenSSH's sshd (`ssh -R` from the machine, `ssh -L` from the user), in turns, with the same cipher.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SshUser, Stack, until } from '../src/harness/index.js';
import { median, report } from './measure.js';
import { OpenSshTunnel } from './tunnel/sshd.js';
import { down, many, roundTrip, serverProgram, up } from './tunnel/traffic.js';

const cipher = 'aes128-gcm@openssh.com';
const rounds = Number(process.env.IOCLOUD_TEST_TUNNEL_ROUNDS ?? 5);
const bytes = 128_000_000;
const pings = 300;
const connections = 200;

const peer = await OpenSshTunnel.start(cipher);
const stack = await Stack.start({ env: { IOCLOUD_NODE_CPUS: '4' } });
const server = spawn(process.execPath, ['-e', serverProgram], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  await stack.cluster('bench');
  const user = await SshUser.register(stack);
  const [line] = (await once(server.stdout, 'data')) as [Buffer];
  const { oneHop, twoHops } = await peer.to(Number(line));
  const inside = user.ssh('bench', [`${process.execPath} -e '${serverProgram.replaceAll("'", `'\\''`)}'`]);
  await until('the server in the lease', 20_000, () => /^\d+\n/.test(inside.stdout()));
  const forward = await user.forward('bench', `localhost:${Number(inside.stdout())}`, ['-o', `Ciphers=${cipher}`]);

  const lanes = { bare: Number(line), ours: forward.port, sshd: twoHops, sshdOneHop: oneHop };
  type Lane = keyof typeof lanes;
  const measured = {} as Record<Lane, { down: number[]; up: number[]; roundTripMs: number[]; manyMs: number[] }>;
  for (const lane of Object.keys(lanes) as Lane[]) measured[lane] = { down: [], up: [], roundTripMs: [], manyMs: [] };
  for (const port of Object.values(lanes)) await down(port, bytes / 8); // warms what there is to warm
  for (let round = 0; round < rounds; round++) {
    for (const [lane, port] of Object.entries(lanes) as [Lane, number][]) {
      const say = (what: string) => process.stderr.write(`${lane} ${what}\n`);
      say('down');
      measured[lane].down.push(await down(port, bytes));
      say('up');
      measured[lane].up.push(await up(port, bytes));
      say('round trips');
      measured[lane].roundTripMs.push(await roundTrip(port, pings));
      say('many');
      measured[lane].manyMs.push(await many(port, connections));
    }
  }
  const summary = Object.fromEntries(
    Object.entries(measured).map(([lane, of]) => [
      lane,
      {
        downMBps: median(of.down),
        upMBps: median(of.up),
        roundTripMs: median(of.roundTripMs),
        [`${connections}ConnectionsMs`]: median(of.manyMs),
      },
    ]),
  );
  const { ours, sshd } = measured;
  report('tunnel', {
    peer: 'sshd with ssh -R and ssh -L',
    cipher,
    rounds,
    bytes,
    summary,
    ratioDown: median(ours.down) / median(sshd.down),
    ratioUp: median(ours.up) / median(sshd.up),
    ratioRoundTrip: median(sshd.roundTripMs) / median(ours.roundTripMs),
    ratioMany: median(sshd.manyMs) / median(ours.manyMs),
    aim: '>= 1.0',
    measured,
  });
  forward.run.child.kill();
  inside.child.kill();
} finally {
  server.kill();
  await peer.stop();
  await stack.stop();
}
