/** What the system's ssh is told, and what its words mean. Pure. */
import { shellLine } from '../commands/ssh.js';
import type { Target } from './inventory.js';

export interface SshSettings {
  /** Ours: a host's key is taken on first use, and no other ever after. */
  knownHosts: string;
  /** A configuration instead of the user's own. */
  configFile: string | null;
  identity: string | null;
  /** Something answers for the user's password; else ssh may ask for nothing. */
  password: boolean;
}

/** ssh's configuration would split at spaces and read %h and the like. */
const pathValue = (file: string) => `"${file.replaceAll('%', '%%')}"`;

export function sshWords(target: Target, settings: SshSettings, command: string): string[] {
  const options: [string, string][] = [
    ['StrictHostKeyChecking', 'accept-new'],
    ['UserKnownHostsFile', pathValue(settings.knownHosts)],
    ['VerifyHostKeyDNS', 'no'],
    ['UpdateHostKeys', 'no'],
    ['HashKnownHosts', 'no'],
    // A connection that is open already would skip the look at the host's key.
    ['ControlMaster', 'no'],
    ['ControlPath', 'none'],
    ['BatchMode', settings.password ? 'no' : 'yes'],
    ['NumberOfPasswordPrompts', '1'],
    ['ForwardAgent', 'no'],
    ['ForwardX11', 'no'],
    ['ClearAllForwardings', 'yes'],
    ['PermitLocalCommand', 'no'],
    ['RemoteCommand', 'none'],
    ['ConnectTimeout', '20'],
    ['ServerAliveInterval', '15'],
    ['ServerAliveCountMax', '4'],
    ['LogLevel', 'ERROR'],
  ];
  const identity = target.identity ?? settings.identity;
  return [
    ...(settings.configFile === null ? [] : ['-F', settings.configFile]),
    '-T',
    ...options.flatMap(([name, value]) => ['-o', `${name}=${value}`]),
    ...(identity === null ? [] : ['-i', identity, '-o', 'IdentitiesOnly=yes']),
    ...(target.port === null ? [] : ['-p', String(target.port)]),
    ...(target.user === null ? [] : ['-l', target.user]),
    '--',
    target.host,
    command,
  ];
}

/** The script comes on standard input. */
export function joinCommand(target: Target, sudo: boolean, controlPlane: string | null): string {
  const words = [
    '--detach',
    '--json',
    ...(controlPlane === null ? [] : ['--control-plane', controlPlane]),
    ...target.install,
  ];
  return shellLine([...(sudo ? ['sudo', '-n'] : []), 'sh', '-s', '--', ...words]);
}

/** In one line why ssh, or what it ran, has ended so. */
export function reasonOf(target: Target, code: number | null, stderr: string, knownHosts: string): string {
  const lines = stderr
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED/.test(stderr)) {
    // A jump host's is in the user's own file.
    const [, file, line] = /Offending \S+ key in (.+):(\d+)/.exec(stderr) ?? [];
    const now = /SHA256:[A-Za-z0-9+/]+/.exec(stderr)?.[0];
    return `its host key is another one than the first time${now ? ` (now ${now})` : ''}, and nothing was sent: if the machine was set up anew, remove ${line ? `line ${line} of ${file}` : `its line from ${knownHosts}`} and run this again; if not, somebody is in between`;
  }
  if (/Host key verification failed/.test(stderr)) {
    return 'a host key on the way is not trusted, that of a jump host perhaps: log in there once with ssh, and run this again';
  }
  const offered = /Permission denied \(([^)]*)\)/.exec(stderr)?.[1];
  if (offered !== undefined) {
    return `it does not let ${target.user ?? 'you'} in by what was tried (it takes ${offered}): name a key (--identity, or your ssh-agent), or say --ask-password`;
  }
  const own = lines.findLast(line => line.startsWith('iocloud: '))?.slice('iocloud: '.length);
  const curl = lines.findLast(line => line.startsWith('curl: '));
  if (own !== undefined) {
    const address = own.includes('can this machine reach it?')
      ? ' Another address for it: --control-plane-address'
      : '';
    return `${own}${curl ? ` (${curl})` : ''}${address}`;
  }
  const last = lines.at(-1);
  if (last !== undefined) return last.slice(0, 500);
  return code === 0 ? 'it ended without a word' : `ssh ended with ${code ?? 'a signal'}`;
}
