/** Signs the packed agent for this home, so that machines that join it trust its releases and no others. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { releaseManifest, releaseNamespace } from '@iocloud/contracts';
import { publicLineOf, signSsh, verifySsh } from '@iocloud/contracts/wire';
import { LaunchError } from './settings.js';

export interface SignedRelease {
  directory: string;
  publicKeyFile: string;
}

/** `packed`: the directory that `make build` packs into. Does nothing where what lies there is signed already. */
export function signAgentRelease(home: string, packed: string, keyFile: string): SignedRelease {
  const directory = join(home, 'agent-release');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { privateKey, publicKey } = readKey(keyFile);
  const publicKeyFile = join(directory, 'release-key.pub');
  replace(publicKeyFile, `${publicKey}\n`);
  const manifestFile = join(packed, 'manifest.json');
  if (!existsSync(manifestFile)) return { directory, publicKeyFile };
  const manifest = readFileSync(manifestFile, 'utf8');
  const { file } = releaseManifest.parse(JSON.parse(manifest));
  if (!isSigned(directory, manifest, publicKey)) {
    copyFileSync(join(packed, file), join(directory, file));
    replace(join(directory, 'manifest.json'), manifest);
    replace(join(directory, 'manifest.json.sig'), signSsh(privateKey, releaseNamespace, manifest));
  }
  return { directory, publicKeyFile };
}

function isSigned(directory: string, manifest: string, publicKey: string): boolean {
  const files = ['manifest.json', 'manifest.json.sig'].map(name => join(directory, name));
  if (!files.every(existsSync)) return false;
  const [text, signature = ''] = files.map(file => readFileSync(file, 'utf8'));
  return text === manifest && verifySsh(signature, publicKey, releaseNamespace, manifest);
}

function readKey(file: string): { privateKey: string; publicKey: string } {
  try {
    const privateKey = readFileSync(file, 'utf8');
    return { privateKey, publicKey: publicLineOf(privateKey) };
  } catch (error) {
    throw new LaunchError(`IOCLOUD_AGENT_SIGNING_KEY: ${file}: ${(error as Error).message}`);
  }
}

function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}
