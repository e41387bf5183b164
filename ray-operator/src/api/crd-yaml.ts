/** CRDs as the files that users apply. */
import { stringify } from 'yaml';
import { customResourceDefinition, type Definition } from './crd.js';

export const crdFile = ({ group, plural }: Definition) => `${group}_${plural}.yaml`;

export function crdYaml(definition: Definition): string {
  const yaml = stringify(customResourceDefinition(definition), { aliasDuplicateObjects: false });
  return `# Generated from src/api/${definition.kind.toLowerCase()}.ts: npm run crd -w ray-operator\n${yaml}`;
}
