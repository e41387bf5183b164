/** Looks into a package before anybody unpacks it: no member may land outside the folder that it is unpacked into. */
import { posix } from 'node:path';
import yauzl from 'yauzl';

/** A symbolic link's target is a path; a longer one is no link. */
const maxLinkBytes = 4_096;

const fileTypeMask = 0o170000;
const symbolicLink = 0o120000;

/** Why the zip archive at `path` is not to be unpacked; null when nothing is wrong. */
export async function zipFault(path: string): Promise<string | null> {
  let zip: yauzl.ZipFile;
  try {
    zip = await new Promise((resolve, reject) =>
      yauzl.open(path, { lazyEntries: true, autoClose: false }, (error, file) =>
        error || !file ? reject(error ?? new Error('it cannot be opened')) : resolve(file),
      ),
    );
  } catch (error) {
    return `it is no zip archive: ${(error as Error).message}`;
  }
  try {
    return await new Promise<string | null>(resolve => {
      // yauzl refuses absolute names and names with '..' by itself, as an error of the entry.
      zip.on('error', (error: Error) => resolve(error.message));
      zip.on('end', () => resolve(null));
      zip.on('entry', (entry: yauzl.Entry) => {
        linkFault(zip, entry).then(
          fault => (fault === null ? zip.readEntry() : resolve(fault)),
          (error: Error) => resolve(error.message),
        );
      });
      zip.readEntry();
    });
  } finally {
    zip.close();
  }
}

async function linkFault(zip: yauzl.ZipFile, entry: yauzl.Entry): Promise<string | null> {
  const name = entry.fileName;
  if (name.includes('\0')) return 'a member has a NUL in its name';
  if (((entry.externalFileAttributes >>> 16) & fileTypeMask) !== symbolicLink) return null;
  if (entry.uncompressedSize > maxLinkBytes) return `the link ${name} is too long`;
  const target = (await content(zip, entry)).toString('utf8');
  const landing = posix.normalize(posix.join(posix.dirname(name), target));
  if (posix.isAbsolute(target) || landing === '..' || landing.startsWith('../')) {
    return `the link ${name} leads out of the archive, to ${target}`;
  }
  return null;
}

function content(zip: yauzl.ZipFile, entry: yauzl.Entry): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    zip.openReadStream(entry, (error, stream) => {
      if (error || !stream) return reject(error ?? new Error('a member cannot be read'));
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('end', () => resolve(Buffer.concat(chunks)));
    });
  });
}
