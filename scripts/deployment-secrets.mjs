// The secrets of a control plane that no launcher looks after, as files for `kubectl create secret generic --from-file`:
// `node scripts/deployment-secrets.mjs DIRECTORY`. What is there already stays.
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { main, SetupError } from './steps.mjs';

main(async () => {
  const directory = process.argv[2];
  if (!directory) throw new SetupError('usage: node scripts/deployment-secrets.mjs DIRECTORY');
  const { newId } = await import('@iocloud/contracts').catch(() => {
    throw new SetupError('not built yet: run `make build` first');
  });
  const { newSshKeyPair } = await import('@iocloud/contracts/wire');
  const apiKey = () =>
    `ioc_${newId('apiKey', randomBytes).slice('ak_'.length)}_${randomBytes(32).toString('base64url')}`;
  const files = {
    'session-secret': () => randomBytes(32),
    'seal-key': () => randomBytes(32),
    ssh_host_ed25519_key: () => newSshKeyPair('iocloud host').private,
    'bootstrap.json': () => `${JSON.stringify({ tenant: 'default', user: 'owner', apiKey: apiKey() }, null, 2)}\n`,
    // Part of a URL.
    'redis-password': () => randomBytes(24).toString('hex'),
  };
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const [name, make] of Object.entries(files)) {
    await writeFile(join(directory, name), make(), { mode: 0o600, flag: 'wx' }).catch(error => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
  process.stdout.write(`kubectl create secret generic iocloud --from-file=${directory}\n`);
});
