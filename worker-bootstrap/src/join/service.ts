/** How the agent is kept running: the units of systemd and launchd, as text, and what installs them. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { startAnew } from '../releases/index.js';
import { JoinFault } from './options.js';

const run = promisify(execFile);
export const serviceName = 'iocloud-agent';
const label = 'net.iocloud.agent';

export interface Program {
  node: string;
  main: string;
  config: string;
  directory: string;
  isRoot: boolean;
}

/** The sandbox that a unit's values are read in has quotes and escapes of its own (systemd.syntax(7)). */
const systemdQuoted = (text: string) =>
  `"${text.replace(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;

/**
 * `main`: the starter, which runs the release that is to run. Systemd never gives up starting it, as it by itself goes back
 * from a release that ends again and again. KillMode=process: Ray nodes outlive an agent that is started anew, and it
 * adopts them.
 */
export function systemdUnit({ node, main, config, isRoot }: Program): string {
  return `[Unit]
Description=iocloud agent: offers this machine to its control plane
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=${[node, main, '--config', config, '--keep-leases'].map(systemdQuoted).join(' ')}
Restart=always
RestartSec=2
SuccessExitStatus=${startAnew}
KillMode=process
TimeoutStopSec=30
LimitNOFILE=1048576

[Install]
WantedBy=${isRoot ? 'multi-user.target' : 'default.target'}
`;
}

const xmlEscaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

export function launchdPlist({ node, main, config, directory }: Program): string {
  const words = [node, main, '--config', config, '--keep-leases'].map(word => `<string>${xmlEscaped(word)}</string>`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>Label</key><string>${label}</string>
<key>ProgramArguments</key><array>${words.join('')}</array>
<key>RunAtLoad</key><true/>
<key>KeepAlive</key><true/>
<key>ThrottleInterval</key><integer>2</integer>
<key>AbandonProcessGroup</key><true/>
<key>StandardOutPath</key><string>${xmlEscaped(join(directory, 'agent.log'))}</string>
<key>StandardErrorPath</key><string>${xmlEscaped(join(directory, 'agent.log'))}</string>
</dict></plist>
`;
}

export type Manager = 'systemd' | 'launchd';

export function managerHere(): Manager | null {
  if (process.platform === 'darwin') return 'launchd';
  // sd_booted(3)
  return existsSync('/run/systemd/system') ? 'systemd' : null;
}

/** Returns how to look at it. Throws JoinFault. */
export async function installService(manager: Manager, program: Program): Promise<string> {
  try {
    return manager === 'systemd' ? await installUnit(program) : await installPlist(program);
  } catch (error) {
    throw new JoinFault(
      `the service could not be installed: ${(error as Error).message.trim()}. Run the same line with --foreground to go on without one`,
    );
  }
}

async function installUnit(program: Program): Promise<string> {
  const flags = program.isRoot ? [] : ['--user'];
  const file = program.isRoot
    ? `/etc/systemd/system/${serviceName}.service`
    : join(homedir(), '.config', 'systemd', 'user', `${serviceName}.service`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, systemdUnit(program));
  await run('systemctl', [...flags, 'daemon-reload']);
  await run('systemctl', [...flags, 'enable', serviceName]);
  await run('systemctl', [...flags, 'restart', serviceName]);
  // Without it a user's services end when the user logs out.
  if (!program.isRoot) await run('loginctl', ['enable-linger']);
  return `systemctl ${[...flags, 'status', serviceName].join(' ')}`;
}

async function installPlist(program: Program): Promise<string> {
  const domain = program.isRoot ? 'system' : `gui/${process.getuid?.()}`;
  const directory = program.isRoot ? '/Library/LaunchDaemons' : join(homedir(), 'Library', 'LaunchAgents');
  const file = join(directory, `${label}.plist`);
  await mkdir(directory, { recursive: true });
  await writeFile(file, launchdPlist(program));
  await run('launchctl', ['bootout', `${domain}/${label}`]).catch(() => undefined); // none ran before
  await run('launchctl', ['bootstrap', domain, file]);
  return `launchctl print ${domain}/${label}`;
}
