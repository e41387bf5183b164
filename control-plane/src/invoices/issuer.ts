/** Who issues invoices: the file that IOCLOUD_INVOICE_ISSUER_FILE names, read once at the start. */
import { type Issuer, issuer } from '@iocloud/contracts';
import { readStated } from '../platform/index.js';

const unnamed: Issuer = { name: 'the operator of this network', address: [], taxId: '', contact: '', note: '' };

/** Throws ConfigError, in one line. */
export async function loadIssuer(file: string | undefined): Promise<Issuer> {
  if (file === undefined) return unnamed;
  return readStated({ key: 'IOCLOUD_INVOICE_ISSUER_FILE', file, docs: 'docs/invoices.md' }, issuer);
}
