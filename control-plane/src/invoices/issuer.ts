/** Who issues invoices: the file that IOCLOUD_INVOICE_ISSUER_FILE names, read once at the start. */
import { readFile } from 'node:fs/promises';
import { type Issuer, issuer } from '@iocloud/contracts';

const unnamed: Issuer = { name: 'the operator of this network', address: [], taxId: '', contact: '', note: '' };

/** Throws an Error that names the fault. */
export async function loadIssuer(file: string | undefined): Promise<Issuer> {
  if (file === undefined) return unnamed;
  const fault = (what: string) => new Error(`IOCLOUD_INVOICE_ISSUER_FILE (${file}): ${what}; see docs/invoices.md`);
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw fault(error.message);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fault(`no JSON: ${(error as Error).message}`);
  }
  const parsed = issuer.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw fault(`${issue?.path.join('.') || 'the whole'}: ${issue?.message}`);
}
