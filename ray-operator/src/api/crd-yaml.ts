/** The CRD as the file that users apply. */
import { stringify } from 'yaml';
import { rayClusterDefinition } from './crd.js';

export function rayClusterYaml(): string {
  const yaml = stringify(rayClusterDefinition(), { aliasDuplicateObjects: false });
  return `# Generated from src/api/raycluster.ts: npm run crd -w ray-operator\n${yaml}`;
}
