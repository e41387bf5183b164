/** Files of the machine's own: whole or not there, and readable by nobody else. */
import { renameSync, writeFileSync } from 'node:fs';

export function writePrivate(file: string, value: unknown): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
