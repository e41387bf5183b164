/** Lets this machine join: looks at it, has its owner approve it, installs Ray and the agent, sees it connected. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EnrolmentProgress, JoiningMachine } from '@iocloud/contracts';
import { ensureEnvironment } from '../../../scripts/python-env.mjs';
import type { AgentConfigInput } from '../config.js';
import { createDeviceKey } from '../device-key.js';
import { detectDevices, diskFreeBytes, memoryLimitBytes } from '../inventory/index.js';
import { type Approved, awaitApproval, earlier } from './authorization.js';
import { judge, look, quiet } from './checks.js';
import { ControlPlane } from './control-plane.js';
import { writePrivate } from './files.js';
import { install } from './install.js';
import { alone } from './one-at-a-time.js';
import { JoinFault, type JoinOptions } from './options.js';
import type { Tell } from './reporting.js';
import { type Started, start } from './start.js';

const rayVersion = '2.60.0';
const connectTimeoutMs = 90_000;

export interface Surroundings {
  say(text: string): void;
  tell: Tell;
  pause(ms: number): Promise<void>;
  now(): number;
  isRoot: boolean;
  /** Of the release that this program is of. */
  root: string;
}

export const surroundings = (isRoot: boolean, tell: Tell = () => undefined): Surroundings => ({
  say: text => void process.stderr.write(`${text}\n`),
  tell,
  pause: ms => new Promise(resolve => setTimeout(resolve, ms)),
  now: Date.now,
  isRoot,
  root: fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, ''),
});

const programOf = ({ root }: Surroundings) => join(root, 'agent', 'program', 'main.mjs');

/** Resolves when the machine is connected and its agent runs by itself; else when the agent has ended. Throws JoinFault. */
export async function joinControlPlane(options: JoinOptions, world: Surroundings): Promise<void> {
  const { directory } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const letGo = await alone(directory, world.pause);
  try {
    const plane = new ControlPlane(options.controlPlane, world.pause);
    const configFile = join(directory, 'agent.json');
    const { ended } = existsSync(configFile)
      ? await startAgain(options, world, plane, configFile)
      : await joinAnew(options, world, plane, configFile);
    letGo();
    await ended;
  } finally {
    letGo();
  }
}

const askedFile = (directory: string) => join(directory, 'enrolment.json');

async function startAgain(
  options: JoinOptions,
  world: Surroundings,
  plane: ControlPlane,
  configFile: string,
): Promise<Started> {
  world.say(`This machine has joined already (${configFile}); its agent is started anew.`);
  const { nodeId } = JSON.parse(readFileSync(configFile, 'utf8')) as { nodeId: string };
  await install(options.directory, programOf(world), options.controlPlane, null);
  const agent = await start(options, world, configFile);
  world.say(`  ${agent.words}`);
  // A day after it was approved the control plane tells no more.
  const asked = options.detach ? await earlier(askedFile(options.directory), plane) : null;
  if (asked?.answer.status === 'approved') await connected(plane, asked.asked.deviceCode, agent, world);
  world.tell({ event: 'joined', nodeId: nodeId as never, words: agent.words });
  return agent;
}

async function joinAnew(
  options: JoinOptions,
  world: Surroundings,
  plane: ControlPlane,
  configFile: string,
): Promise<Started> {
  const { directory } = options;
  const machine = await checked(options, world.say);
  const publicKey = createDeviceKey(join(directory, 'device_ed25519_key'));
  const { deviceCode, approved } = await awaitApproval(askedFile(directory), plane, publicKey, machine, world);
  const step = stepsOf(plane, deviceCode, world);
  await step('checks', 'looking at the machine', async () => [undefined, 'it has what it needs']);
  const environment = await step('ray', `installing Ray ${rayVersion}, some 110 MB`, async () => {
    if (options.rayEnvironment) return [options.rayEnvironment, `${options.rayEnvironment} is used`];
    const venv = join(directory, `ray-${rayVersion}`);
    await ensureEnvironment(`Ray ${rayVersion}`, venv, join(world.root, 'ray.lock'), join(directory, 'tools'));
    return [venv, `Ray ${rayVersion} is installed`];
  });
  const agent = await step('service', 'starting the agent', async () => {
    await install(directory, programOf(world), options.controlPlane, approved.releaseKey);
    writePrivate(configFile, agentConfigOf(options, approved, environment));
    const started = await start(options, world, configFile);
    return [started, started.words];
  });
  await step('connected', 'connecting', async () => {
    await connected(plane, deviceCode, agent, world);
    return [undefined, `${approved.name} is connected`];
  });
  world.tell({ event: 'joined', nodeId: approved.nodeId, words: agent.words });
  return agent;
}

type Step = <T>(name: EnrolmentProgress['step'], doing: string, work: () => Promise<[T, string]>) => Promise<T>;

/** Says what is done, here and on the page that its owner may look at. */
function stepsOf(plane: ControlPlane, deviceCode: string, { say, tell: report }: Surroundings): Step {
  const tell = async (step: EnrolmentProgress['step'], state: EnrolmentProgress['state'], words: string) => {
    say(`  ${words}`);
    const message = words.slice(0, 500);
    report({ event: 'step', step, state, message });
    // What goes wrong with the page stops nothing.
    await plane
      .tell(deviceCode, { step, state, message })
      .catch((error: Error) => say(`  (not shown on the page: ${error.message})`));
  };
  return async (name, doing, work) => {
    await tell(name, 'running', doing);
    try {
      const [result, message] = await work();
      await tell(name, 'done', message);
      return result;
    } catch (error) {
      await tell(name, 'failed', (error as Error).message);
      throw error;
    }
  };
}

/** Throws JoinFault with all that has to be put right. */
async function checked(options: JoinOptions, say: (text: string) => void): Promise<JoiningMachine> {
  const { devices, faults } = await detectDevices(quiet);
  const seen = devices.map(({ vendor }) => vendor);
  const { obstacles, warnings } = judge(await look(seen, faults, options.rayEnvironment !== null));
  for (const warning of warnings) say(`  Note: ${warning}`);
  if (obstacles.length > 0)
    throw new JoinFault(`this machine cannot join yet:\n${obstacles.map(one => `  - ${one}`).join('\n')}`);
  const [cpu] = os.cpus();
  return {
    hostname: os.hostname().slice(0, 253),
    os: `${os.type()} ${os.release()}`.slice(0, 64),
    arch: os.arch(),
    cpuModel: (cpu?.model ?? 'unknown').slice(0, 128),
    cpus: options.cpus ?? os.availableParallelism(),
    memoryBytes: options.memoryBytes ?? (await memoryLimitBytes()),
    diskFreeBytes: await diskFreeBytes(options.directory),
    devices: devices.slice(0, 64),
  };
}

/** Waits for the agent's connection, or its end. Throws JoinFault. */
async function connected(plane: ControlPlane, deviceCode: string, agent: Started, world: Surroundings): Promise<void> {
  await Promise.race([
    awaitConnection(plane, deviceCode, world),
    agent.failed.then(words => Promise.reject(new JoinFault(words))),
  ]);
}

async function awaitConnection(plane: ControlPlane, deviceCode: string, { pause, now }: Surroundings): Promise<void> {
  for (const deadline = now() + connectTimeoutMs; now() < deadline; ) {
    const answer = await plane.answer(deviceCode);
    if (answer.status === 'approved' && answer.online) return;
    await pause(1_000);
  }
  throw new JoinFault(
    'the agent runs, but the control plane has not heard of it: is its SSH port open to this machine? The agent goes on trying',
  );
}

export function agentConfigOf(options: JoinOptions, { nodeId, ssh }: Approved, environment: string): AgentConfigInput {
  return {
    controlPlane: { host: ssh.host ?? new URL(options.controlPlane).hostname, port: ssh.port, hostKey: ssh.hostKey },
    nodeId,
    deviceKeyFile: join(options.directory, 'device_ed25519_key'),
    stateDir: join(options.directory, 'state'),
    rayEnvironments: { [rayVersion]: environment },
    isolation: options.isolation,
    ...(options.containerImage === null ? {} : { container: { image: options.containerImage } }),
    ...(options.cpus === null ? {} : { cpus: options.cpus }),
    ...(options.memoryBytes === null ? {} : { memoryBytes: options.memoryBytes }),
  };
}
