/** Who may enter a bed, and with what: tokens of users, the key of service accounts, and the files in which both are found. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A user and its group; '' for none. */
export type Users = Record<string, string>;

export class Credentials {
  private readonly tokens = new Map<string, string>();
  readonly pki: string;

  constructor(private readonly directory: string) {
    this.pki = join(directory, 'pki');
  }

  /** The API server makes its own certificate at its first start, and signs with it what it serves. */
  get certificate(): string {
    return join(this.pki, 'apiserver.crt');
  }

  get tokenFile(): string {
    return join(this.pki, 'tokens.csv');
  }

  token(user: string): string {
    const token = this.tokens.get(user);
    if (token === undefined) throw new Error(`the bed has no user ${user}`);
    return token;
  }

  kubeconfig(user: string): string {
    return join(this.directory, `${plain(user)}.kubeconfig`);
  }

  /** `server` is where each user finds it. */
  async write(users: Users, server: (user: string) => string): Promise<void> {
    await mkdir(this.pki, { mode: 0o700 });
    const { privateKey, publicKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    await writeFile(join(this.pki, 'account.key'), privateKey, { mode: 0o600 });
    await writeFile(join(this.pki, 'account.pub'), publicKey);
    const rows: string[] = [];
    for (const [user, group] of Object.entries(users)) {
      const token = randomBytes(16).toString('hex');
      this.tokens.set(user, token);
      rows.push(`${token},${user},${user}${group ? `,"${group}"` : ''}`);
      await writeFile(this.kubeconfig(user), this.kubeconfigOf(server(user), token), { mode: 0o600 });
    }
    await writeFile(this.tokenFile, `${rows.join('\n')}\n`, { mode: 0o600 });
  }

  /** As in a pod: token and CA in a directory. */
  async writeAccount(name: string, token: string): Promise<string> {
    const directory = join(this.directory, `account-${name}`);
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'token'), token, { mode: 0o600 });
    await writeFile(join(directory, 'ca.crt'), await readFile(this.certificate));
    return directory;
  }

  private kubeconfigOf(server: string, token: string): string {
    // JSON is YAML.
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'bed',
      contexts: [{ name: 'bed', context: { cluster: 'bed', user: 'bed' } }],
      clusters: [{ name: 'bed', cluster: { server, 'certificate-authority': this.certificate } }],
      users: [{ name: 'bed', user: { token } }],
    });
  }
}

export const plain = (user: string) => user.replace(/\W/g, '-');
