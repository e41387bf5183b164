/** How settlement starts, from files: what is missing or does not fit stops the start in one line, and no secret is in it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeKeystore } from '@iocloud/contracts/wire';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Config, ConfigError, Seal } from '../platform/index.js';
import { type Ground, startGround } from '../test-ground.js';
import { openSettlement } from './index.js';

const passphrase = 'a passphrase of this test';
const mint = 'So11111111111111111111111111111111111111112';
let ground: Ground;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iocloud-settlement-'));
  ground = await startGround();
  await writeFile(join(directory, 'passphrase'), `${passphrase}\n`);
  await writeFile(join(directory, 'wrong'), 'another passphrase');
  await writeFile(join(directory, 'keystore'), JSON.stringify(makeKeystore(passphrase)));
  await writeFile(join(directory, 'other-keystore'), JSON.stringify(makeKeystore(passphrase)));
  await writeFile(join(directory, 'terms'), JSON.stringify({ mints: { IO: mint } }));
  await writeFile(join(directory, 'other-terms'), JSON.stringify({ mints: { IO: '1'.repeat(32) } }));
  await writeFile(join(directory, 'bad-terms'), JSON.stringify({ mints: {}, leastDeposit: { IO: '0' } }));
});
afterAll(async () => {
  await ground?.stop();
  await rm(directory, { recursive: true, force: true });
});

type Files = Partial<Pick<Config, 'settlementFile' | 'settlementKeystore' | 'settlementPassphraseFile'>>;

function open(
  files: Files = {},
  solanaRpcUrl: string | undefined = 'http://127.0.0.1:9/?api-key=secret-of-the-provider',
) {
  const all = {
    settlementFile: 'terms',
    settlementKeystore: 'keystore',
    settlementPassphraseFile: 'passphrase',
    ...files,
  };
  const config = { solanaRpcUrl } as Config;
  for (const [key, file] of Object.entries(all)) if (file) Object.assign(config, { [key]: join(directory, file) });
  const { database, log } = ground;
  const seal = new Seal(Buffer.alloc(32));
  return openSettlement({ config, database, seal, log, nowMs: Date.now, random: size => Buffer.alloc(size) });
}

test('it starts from its files, and again; without SOLANA_RPC_URL it starts without any', async () => {
  for (let time = 0; time < 2; time++) await (await open()).stop();
  const bare = await openSettlement({
    ...{ config: { solanaRpcUrl: undefined } as Config, database: ground.database, seal: new Seal(Buffer.alloc(32)) },
    ...{ log: ground.log, nowMs: Date.now, random: size => Buffer.alloc(size) },
  });
  bare.start();
  await bare.stop();
});

test.each<[string, Files, RegExp]>([
  [
    'a missing file',
    { settlementKeystore: '' as never },
    /^SOLANA_RPC_URL is set, so IOCLOUD_SETTLEMENT_KEYSTORE must be too/,
  ],
  ['a file that is not there', { settlementFile: 'nowhere' }, /^IOCLOUD_SETTLEMENT_FILE: .*cannot be read: ENOENT/],
  ['bad terms', { settlementFile: 'bad-terms' }, /mints: at least one of IO and USDC.*leastDeposit\.IO/],
  ['a wrong passphrase', { settlementPassphraseFile: 'wrong' }, /the passphrase is another one/],
  ['the keys of another treasury', { settlementKeystore: 'other-keystore' }, /this database is settled from treasury/],
  ['another mint', { settlementFile: 'other-terms' }, /a mint does not change/],
])('%s stops the start', async (_, files, message) => {
  await (await open()).stop();
  const refusal = await open(files).then(
    () => null,
    (error: Error) => error,
  );
  expect(refusal).toBeInstanceOf(ConfigError);
  expect(refusal?.message).toMatch(message);
  expect(refusal?.message).not.toMatch(/\n|passphrase of this|secret-of/);
});
