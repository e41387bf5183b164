import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kubernetesManifest, kubernetesRules } from '@iocloud/contracts';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { readKubeconfig } from './kubeconfig.js';

const scratch = mkdtempSync(join(tmpdir(), 'iocloud-kubeconfig-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function kubeconfig(user: Record<string, unknown>, cluster: Record<string, unknown> = {}): string {
  const file = join(scratch, 'config');
  const config = {
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u', namespace: 'rays' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://example.com:6443', ...cluster } }],
    users: [{ name: 'u', user }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}
const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('a kubeconfig', () => {
  test('gives a token, or the contents of the files that it names beside itself', async () => {
    writeFileSync(join(scratch, 'token'), 'secret\n');
    writeFileSync(join(scratch, 'ca.crt'), 'the CA');
    const file = kubeconfig({ tokenFile: 'token' }, { 'certificate-authority': 'ca.crt' });
    expect(await readKubeconfig(file, undefined)).toEqual({
      namespace: 'rays',
      access: {
        server: 'https://example.com:6443',
        certificateAuthority: 'the CA',
        credentials: { type: 'token', token: 'secret' },
      },
    });
  });

  test('gives a certificate with its key', async () => {
    const file = kubeconfig({ 'client-certificate-data': base64('cert'), 'client-key-data': base64('key') });
    const { access } = await readKubeconfig(file, 'here');
    expect(access.credentials).toEqual({ type: 'certificate', certificate: 'cert', key: 'key' });
  });

  test.each([
    [{ exec: { command: 'rm' } }, {}, 'by a program, which the control plane does not run'],
    [{}, {}, 'neither a token nor a certificate'],
    [{ token: 'x' }, { 'insecure-skip-tls-verify': true }, 'whose certificate it cannot check'],
    [{ tokenFile: 'nowhere' }, {}, 'nowhere cannot be read'],
  ])('with %j %j is refused in words', async (user, cluster, words) => {
    await expect(readKubeconfig(kubeconfig(user, cluster), undefined)).rejects.toThrow(words);
  });

  test('that is none is refused without a word of what it holds', async () => {
    const file = join(scratch, 'bad');
    writeFileSync(file, '{token: hunter2');
    await expect(readKubeconfig(file, undefined)).rejects.toThrow(`${file}: it is no kubeconfig`);
  });
});

test('the manifest is YAML that grants exactly the rules', () => {
  const documents = parseAllDocuments(kubernetesManifest('rays')).map(document => document.toJS());
  expect(documents.map(({ kind }) => kind)).toEqual([
    ...['ServiceAccount', 'Secret', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'],
  ]);
  const granted = documents.flatMap(({ rules = [] }) => rules);
  expect(granted).toHaveLength(kubernetesRules.length);
  for (const { apiGroup, resource, verbs } of kubernetesRules) {
    expect(granted).toContainEqual({ apiGroups: [apiGroup], resources: [resource], verbs });
  }
});
