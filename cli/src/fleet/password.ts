/**
 * A password that was asked for once, handed to each ssh by OpenSSH's own way (SSH_ASKPASS): a small program that asks us
 * through a socket that nobody else may open. So it stands in no file, no argument and no environment.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../bin/iocloud-askpass.js', import.meta.url));
const longestQuestionBytes = 4_096;

export interface PasswordDesk {
  environment: Record<string, string>;
  close(): Promise<void>;
}

export async function openDesk(password: string): Promise<PasswordDesk> {
  const directory = await mkdtemp(path.join(tmpdir(), 'iocloud-ask-')); // mode 0700
  const socket = path.join(directory, 'socket');
  const server = createServer(connection => {
    connection.on('error', () => undefined); // an ssh that was ended asks no more
    let question = '';
    connection.on('data', (chunk: Buffer) => {
      question += chunk.toString();
      if (question.length > longestQuestionBytes) connection.destroy();
      // Of a key's passphrase, or of whether to trust a host, we know nothing.
      else if (question.endsWith('\n')) connection.end(isForPassword(question) ? `${password}\n` : '');
    });
  });
  server.listen(socket);
  await once(server, 'listening');
  return {
    environment: { SSH_ASKPASS: program, SSH_ASKPASS_REQUIRE: 'force', IOCLOUD_ASKPASS_SOCKET: socket },
    close: async () => {
      server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** As ssh asks for itself, and as PAM does by keyboard-interactive. */
export const isForPassword = (question: string): boolean => /password:?\s*$/i.test(question);
