/** Names of runtime-env packages as Ray's clients make them: `_ray_pkg_<hash>.zip`, or a wheel's or jar's own name. Pure. */

const extensions = ['.zip', '.whl', '.jar', '.tar.gz', '.tgz', '.tar.xz'];

/** Why the name cannot be one of a package; null when it can. It becomes part of a path on the head. */
export function packageNameFault(name: string): string | null {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.+!-]{0,254}$/.test(name) || name.includes('..')) {
    return `'${name.slice(0, 300)}' is no package name: letters, digits and _ . + ! - only`;
  }
  if (!extensions.some(extension => name.endsWith(extension))) {
    return `'${name}' does not end in a supported format: ${extensions.join(', ')}`;
  }
  return null;
}

export const isZip = (name: string) => ['.zip', '.whl', '.jar'].some(extension => name.endsWith(extension));
export const isGzippedTar = (name: string) => name.endsWith('.tar.gz') || name.endsWith('.tgz');
