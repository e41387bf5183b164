/** The programs that run in a lease, without one: real shells on real terminals, and OpenSSH's own sftp client. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { FrameReader, type FrameType, frame, windowFrame } from '@iocloud/contracts/wire';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

const programs = resolve('worker-bootstrap/python');
const python = ['-E', '-s', '-S', '-B'];

/** Under load a shell takes a while. Milliseconds. */
jest.setTimeout(30_000);

let directory: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'iocloud-shell-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

interface Wanted {
  what: { type: string; command?: string };
  pty?: { term: string; columns: number; rows: number };
  env?: Record<string, string>;
}

/** A shell as the agent starts one, and the frames that have come from it. */
class Shell {
  readonly child: ReturnType<typeof Shell.spawn>;
  readonly #frames: [FrameType, Buffer][] = [];
  readonly ended: Promise<void>;

  static spawn() {
    return spawn('python3', [...python, join(programs, 'shell.py')], { stdio: ['pipe', 'pipe', 'inherit'], env: {} });
  }

  constructor({ what, pty, env = {} }: Wanted) {
    this.child = Shell.spawn();
    children.push(this.child);
    this.child.stdin.on('error', () => undefined);
    const reader = new FrameReader();
    this.child.stdout.on('data', (chunk: Buffer) => {
      for (const { type, payload } of reader.take(chunk)) this.#frames.push([type, payload]);
    });
    this.ended = once(this.child, 'close').then(() => undefined);
    const spec = { lease: null, what, pty: pty ?? null, env: { PATH: process.env.PATH, HOME: directory, ...env } };
    this.child.stdin.write(`${JSON.stringify(spec)}\n`);
  }

  send(type: FrameType, payload: string | Buffer = ''): void {
    this.child.stdin.write(frame(type, Buffer.from(payload)));
  }

  output(type: FrameType): string {
    return Buffer.concat(this.#frames.filter(([one]) => one === type).map(([, payload]) => payload)).toString();
  }

  /** Typed again as a person would, where a terminal that is just being set up has swallowed it. */
  async answers(line: string, text: string): Promise<void> {
    for (let tries = 0; tries < 10; tries += 1) {
      this.send('stdin', line);
      if (
        await this.shows(text, 1_000).then(
          () => true,
          () => false,
        )
      )
        return;
    }
    await this.shows(text);
  }

  async shows(text: string, withinMs = 10_000): Promise<void> {
    for (const deadline = Date.now() + withinMs; !this.output('stdout').includes(text); ) {
      if (Date.now() > deadline) throw new Error(`"${text}" is not in ${JSON.stringify(this.output('stdout'))}`);
      await new Promise(wake => setTimeout(wake, 10));
    }
  }

  get exit(): unknown {
    const text = this.output('exit');
    return text === '' ? null : JSON.parse(text);
  }
}

const exec = (command: string, more: Partial<Wanted> = {}) => new Shell({ what: { type: 'exec', command }, ...more });
const alive = (pid: number): boolean => existsSync(`/proc/${pid}`);

describe('a command', () => {
  test('has its input to the end, keeps output and errors apart, and tells its exit code', async () => {
    const shell = exec('cat; echo wrong >&2; exit 7');
    shell.send('stdin', 'hello ');
    shell.send('stdin', 'there');
    shell.send('stdin');
    await shell.ended;
    expect([shell.output('stdout'), shell.output('stderr'), shell.exit]).toEqual([
      'hello there',
      'wrong\n',
      { code: 7 },
    ]);
  });

  test('gets signals, and tells by which it has ended', async () => {
    const shell = exec('echo up; exec sleep 60');
    await shell.shows('up');
    shell.send('signal', 'INT');
    await shell.ended;
    expect(shell.exit).toEqual({ signal: 'INT' });
  });

  test('carries 20 MB there and back unharmed, more than any buffer on the way holds', async () => {
    const bytes = randomBytes(20_000_000);
    writeFileSync(join(directory, 'sum'), '');
    const shell = exec('tee copy | sha256sum');
    for (let at = 0; at < bytes.length; at += 65_536) shell.send('stdin', bytes.subarray(at, at + 65_536));
    shell.send('stdin');
    await shell.ended;
    expect(Buffer.compare(readFileSync(join(directory, 'copy')), bytes)).toBe(0);
    const big = exec('cat copy');
    await big.ended;
    expect(big.output('stdout').length).toBe(bytes.toString().length);
  });

  test('whose reader has stopped is held up, and its program with it', async () => {
    const shell = exec('for i in $(seq 50); do head -c 1000000 /dev/zero; echo $i > progress; done');
    shell.child.stdout.pause();
    const progress = () =>
      existsSync(join(directory, 'progress')) ? readFileSync(join(directory, 'progress'), 'utf8') : '';
    while (progress() === '') await new Promise(wake => setTimeout(wake, 10));
    // Were it not held up, it would be through by then many times over.
    await new Promise(wake => setTimeout(wake, 500));
    expect(Number(progress())).toBeLessThan(10);
    shell.child.stdout.resume();
    await shell.ended;
    expect(shell.output('stdout')).toHaveLength(50_000_000);
  });

  test('is hung up when whoever asked for it has gone', async () => {
    const shell = exec('echo $$; sleep 60; echo never');
    await shell.shows('\n');
    const pid = Number(shell.output('stdout'));
    expect(alive(pid)).toBe(true);
    shell.child.stdin.end();
    await shell.ended;
    for (const deadline = Date.now() + 5_000; alive(pid) && Date.now() < deadline; ) {
      await new Promise(wake => setTimeout(wake, 10));
    }
    expect(alive(pid)).toBe(false);
  });

  test('that has left something running ends when that lets go of its output, as with sshd', async () => {
    const shell = exec('(sleep 0.3; echo late) & echo early');
    await shell.ended;
    expect([shell.output('stdout'), shell.exit]).toEqual(['early\nlate\n', { code: 0 }]);
  });

  test('finds only the environment that it is given', async () => {
    const shell = exec('env', { env: { LANG: 'de_DE.UTF-8', RAY_AUTH_MODE: 'token' } });
    await shell.ended;
    expect(shell.output('stdout')).toContain('LANG=de_DE.UTF-8\n');
    expect(shell.output('stdout')).toContain('RAY_AUTH_MODE=token\n');
    expect(shell.output('stdout')).not.toMatch(/JEST|npm_/);
  });
});

describe('a terminal', () => {
  const pty = { term: 'xterm', columns: 91, rows: 33 };

  test('has the size that was asked for, changes it, and says what it is', async () => {
    const shell = exec('stty size; tty; echo "$TERM"; read line; stty size', { pty });
    await shell.shows('xterm');
    shell.child.stdin.write(windowFrame(120, 40));
    shell.send('stdin', '\n');
    await shell.ended;
    expect(shell.output('stdout')).toMatch(/^33 91\r\n\/dev\/pts\/\d+\r\nxterm\r\n\r\n40 120\r\n$/);
  });

  test('an interactive shell takes Ctrl-C for its program and goes on, and exits as told', async () => {
    const shell = new Shell({ what: { type: 'shell' }, pty });
    shell.send('stdin', 'PS1=prompt-$((1+1)); echo up-$((1+1)); sleep 60; echo never-$((1+1))\n');
    await shell.shows('up-2');
    shell.send('stdin', '\x03');
    // What is typed before the shell asks again is thrown away with what was interrupted.
    await shell.shows('prompt-2');
    await shell.answers('echo on-$((1+1))\n', 'on-2');
    expect(shell.output('stdout')).not.toContain('never-2');
    shell.send('stdin', 'exit 5\n');
    await shell.ended;
    expect(shell.exit).toEqual({ code: 5 });
  });
});

describe('the SFTP server', () => {
  /** Runs a batch of OpenSSH's client against it. */
  function sftp(lines: string[]): string {
    const home = join(directory, 'home');
    mkdirSync(home, { recursive: true });
    const start = `import sys; sys.path.insert(0, ${JSON.stringify(programs)}); import sftp; sftp.serve(0, 1)`;
    const server = join(directory, 'server.sh');
    writeFileSync(server, `#!/bin/sh\ncd ${home} && exec python3 ${python.join(' ')} -c '${start}'\n`, { mode: 0o755 });
    writeFileSync(join(directory, 'batch'), `${lines.join('\n')}\n`);
    return execFileSync('sftp', ['-b', join(directory, 'batch'), '-D', server], { encoding: 'utf8', cwd: directory });
  }

  test('stores, gives back, lists, renames, links and removes as its client expects', () => {
    const bytes = randomBytes(3_000_000);
    writeFileSync(join(directory, 'big'), bytes);
    const said = sftp([
      'put big',
      'get big back',
      'mkdir d',
      'put -p big d/x',
      'rename d/x d/y',
      'ln -s y d/link',
      'ln d/y d/hard',
      'chmod 600 d/y',
      'ls -l d',
      'df',
      'rm d/hard',
      '-rmdir d',
      '-get d/missing',
    ]);
    expect(Buffer.compare(readFileSync(join(directory, 'back')), bytes)).toBe(0);
    expect(Buffer.compare(readFileSync(join(directory, 'home/d/link')), bytes)).toBe(0);
    expect(said).toMatch(/-rw-------\s+2 .* 3000000 .* y\n/);
    expect(said).toMatch(/lrwxrwxrwx .* link\n/);
    expect(existsSync(join(directory, 'home/d/hard'))).toBe(false);
  });

  test('a packet that is none ends it, and a bad request does not', () => {
    const talk = (bytes: Buffer) =>
      execFileSync('python3', [...python, '-c', 'import sftp; sftp.serve(0, 1)'], { input: bytes, cwd: programs });
    const packet = (...parts: (number | Buffer)[]) => {
      const body = Buffer.concat(parts.map(part => (typeof part === 'number' ? Buffer.from([part]) : part)));
      const head = Buffer.alloc(4);
      head.writeUInt32BE(body.length);
      return Buffer.concat([head, body]);
    };
    const id = Buffer.from([0, 0, 0, 9]);
    const init = packet(1, Buffer.from([0, 0, 0, 3]));
    // A path that claims more bytes than there are; then a REALPATH that is whole.
    const answers = talk(
      Buffer.concat([
        init,
        packet(17, id, Buffer.from([0, 0, 1, 0, 47])),
        packet(16, id, Buffer.from([0, 0, 0, 1, 47])),
      ]),
    );
    expect(answers.includes('a packet is too short')).toBe(true);
    expect(answers.subarray(-9, -4).toString('latin1')).toBe('\0\0\0\x01/');
    expect(talk(Buffer.from([0xff, 0xff, 0xff, 0xff, 1])).length).toBe(0);
  });
});
