export interface Repacked {
  version: string;
  serial: number;
  manifest: string;
  signature: string;
  sha256: string;
  archive: Buffer;
  directory: string;
}
export function signWithOpenSsh(directory: string, keyFile: string, namespace: string, text: string): Promise<string>;
export function repackAgent(
  archive: string,
  directory: string,
  options: { version: string; serial: number; floor?: number; begin?: string; keyFile: string },
): Promise<Repacked>;
