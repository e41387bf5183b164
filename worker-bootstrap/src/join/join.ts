/** Lets this machine join: looks at it, has its owner approve it, installs Ray and the service, sees it connected. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EnrolmentAnswer, EnrolmentProgress, JoiningMachine } from '@iocloud/contracts';
import { fingerprintOf } from '@iocloud/contracts/wire';
import { ensureEnvironment } from '../../../scripts/python-env.mjs';
import type { AgentConfigInput } from '../config.js';
import { createDeviceKey } from '../device-key.js';
import { detectDevices, diskFreeBytes, memoryLimitBytes } from '../inventory/index.js';
import { stateFile } from '../releases/index.js';
import { judge, look, quiet } from './checks.js';
import { ControlPlane } from './control-plane.js';
import { install, keeperOf, starterOf } from './install.js';
import { JoinFault, type JoinOptions } from './options.js';
import { installService, managerHere } from './service.js';

const rayVersion = '2.60.0';
const connectTimeoutMs = 90_000;
const besides = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export interface Surroundings {
  say(text: string): void;
  pause(ms: number): Promise<void>;
  now(): number;
  isRoot: boolean;
  /** The agent's program, and the lock of its Ray environment. */
  main: string;
  lock: string;
}

export const surroundings = (): Surroundings => ({
  say: text => void process.stderr.write(`${text}\n`),
  pause: ms => new Promise(resolve => setTimeout(resolve, ms)),
  now: Date.now,
  isRoot: process.getuid?.() === 0,
  main: besides('./main.mjs'),
  lock: besides('../../ray.lock'),
});

type Approved = Extract<EnrolmentAnswer, { status: 'approved' }>;

/** Resolves when the machine is connected and its service runs; without a service, when the agent has ended. Throws JoinFault. */
export async function joinControlPlane(options: JoinOptions, world: Surroundings): Promise<void> {
  const { say } = world;
  const configFile = join(options.directory, 'agent.json');
  if (existsSync(configFile)) {
    say(`This machine has joined already (${configFile}); its agent is started anew.`);
    await install(options.directory, world.main, options.controlPlane, null);
    await (await start(options, world, configFile)).ended;
    return;
  }
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const machine = await checked(options, say);
  const publicKey = createDeviceKey(join(options.directory, 'device_ed25519_key'));
  const plane = new ControlPlane(options.controlPlane, world.pause);
  const { deviceCode, approved } = await awaitApproval(plane, publicKey, machine, world);
  const step = stepsOf(plane, deviceCode, say);
  await step('checks', 'looking at the machine', async () => [undefined, 'it has what it needs']);
  const environment = await step('ray', `installing Ray ${rayVersion}, some 110 MB`, async () => {
    if (options.rayEnvironment) return [options.rayEnvironment, `${options.rayEnvironment} is used`];
    const venv = join(options.directory, `ray-${rayVersion}`);
    await ensureEnvironment(`Ray ${rayVersion}`, venv, world.lock, join(options.directory, 'tools'));
    return [venv, `Ray ${rayVersion} is installed`];
  });
  const agent = await step('service', 'starting the agent', async () => {
    await install(options.directory, world.main, options.controlPlane, approved.releaseKey);
    writeConfig(configFile, agentConfigOf(options, approved, environment));
    const started = await start(options, world, configFile);
    return [started, started.words];
  });
  await step('connected', 'connecting', async () => {
    await Promise.race([
      awaitConnection(plane, deviceCode, world),
      agent.failed.then(code =>
        Promise.reject(new JoinFault(`the agent ended with ${code}; its last words are above`)),
      ),
    ]);
    return [undefined, `${approved.name} is connected`];
  });
  await agent.ended;
}

interface Started {
  words: string;
  /** Of an agent that a service runs: at once. */
  ended: Promise<unknown>;
  /** Resolves with its exit code where it ends; of a service never. */
  failed: Promise<number | null>;
}

async function start(options: JoinOptions, world: Surroundings, config: string): Promise<Started> {
  const manager = options.foreground ? null : managerHere();
  if (manager) {
    const { directory } = options;
    const program = { node: process.execPath, main: starterOf(directory), config, directory, isRoot: world.isRoot };
    const look = await installService(manager, program);
    return {
      words: `the agent runs as a service: ${look}`,
      ended: Promise.resolve(),
      failed: new Promise(() => undefined),
    };
  }
  if (!options.foreground) world.say('  There is no systemd or launchd here: the agent runs until this ends.');
  const { directory } = options;
  const keeper = [keeperOf(directory), stateFile(directory), process.execPath, starterOf(directory)];
  const agent = spawn('/bin/sh', [...keeper, '--config', config], { stdio: 'inherit' });
  // Ctrl-C reaches the agent by itself; a signal to this process alone is handed on.
  const handOn = () => void agent.kill('SIGTERM');
  process.on('SIGTERM', handOn);
  process.on('SIGINT', () => undefined);
  const ended = once(agent, 'exit').finally(() => process.off('SIGTERM', handOn));
  return { words: 'the agent runs here', ended, failed: ended.then(([code]) => code) };
}

type Step = <T>(name: EnrolmentProgress['step'], doing: string, work: () => Promise<[T, string]>) => Promise<T>;

/** Says what is done, here and on the page that its owner may look at. */
function stepsOf(plane: ControlPlane, deviceCode: string, say: (text: string) => void): Step {
  const tell = async (step: EnrolmentProgress['step'], state: EnrolmentProgress['state'], message: string) => {
    say(`  ${message}`);
    // What goes wrong with the page stops nothing.
    await plane
      .tell(deviceCode, { step, state, message: message.slice(0, 500) })
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

async function awaitApproval(
  plane: ControlPlane,
  publicKey: string,
  machine: JoiningMachine,
  { say, pause }: Surroundings,
): Promise<{ deviceCode: string; approved: Approved }> {
  for (;;) {
    const asked = await plane.ask(publicKey, machine);
    say(`\nApprove this machine at ${asked.verificationUriComplete}`);
    say(`or with: iocloud node approve ${asked.userCode}`);
    say(
      `Its code is ${asked.userCode}, its key ${fingerprintOf(publicKey)}. It waits for ${asked.expiresInSeconds / 60} minutes.\n`,
    );
    for (;;) {
      await pause(1_000 * asked.intervalSeconds);
      const answer = await plane.answer(asked.deviceCode);
      if (answer.status === 'approved') {
        say(`Approved as ${answer.name} (${answer.nodeId}).`);
        return { deviceCode: asked.deviceCode, approved: answer };
      }
      if (answer.status === 'denied') throw new JoinFault('its owner has turned this machine away');
      if (answer.status === 'expired') break;
    }
    say('Nobody approved it in time; here is a new code.');
  }
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
    ...(options.cpus === null ? {} : { cpus: options.cpus }),
    ...(options.memoryBytes === null ? {} : { memoryBytes: options.memoryBytes }),
  };
}

function writeConfig(file: string, config: AgentConfigInput): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
