/** What machines install: the packed agent that this control plane was set up with, and the script that fetches it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Failure } from '../platform/index.js';

const manifest = z.object({
  version: z.string().regex(/^\d+\.\d+\.\d+[0-9A-Za-z.+-]*$/),
  file: z.string().regex(/^[\w.+-]+\.tgz$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Manifest = z.infer<typeof manifest>;

/** Throws Failure 'not-found' where there is none. */
export async function releaseIn(directory: string | undefined): Promise<Manifest> {
  const none = new Failure(
    'not-found',
    'this control plane has no agent to give away: its operator sets IOCLOUD_AGENT_RELEASE_DIR (`make build` packs one)',
  );
  if (directory === undefined) throw none;
  const text = await readFile(join(directory, 'manifest.json'), 'utf8').catch(() => null);
  if (text === null) throw none;
  return manifest.parse(JSON.parse(text));
}

/** For a shell's single quotes. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

const nodeVersion = '20.20.2';

/**
 * POSIX sh. All of it is a function that the last line calls, so that a script that was cut off on its way does nothing.
 */
export function installScript(address: string, { version, file, sha256 }: Manifest): string {
  return `#!/bin/sh
# Lets this machine join the iocloud control plane at ${address.replace(/[^\w.:/[\]-]/g, '')}.
# curl -fsSL …/install.sh | sh             or with options:  … | sh -s -- --foreground
set -eu

control_plane=${quoted(address)}
version=${quoted(version)}
file=${quoted(file)}
sha256=${quoted(sha256)}
node_version=${quoted(nodeVersion)}

say() { printf '%s\\n' "$*" >&2; }
fail() { say "iocloud: $*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

checksum() {
  if has sha256sum; then sha256sum "$1" | cut -d ' ' -f 1
  elif has shasum; then shasum -a 256 "$1" | cut -d ' ' -f 1
  else fail 'neither sha256sum nor shasum is here: install coreutils'; fi
}

# Node 20.10 or newer: what is on the PATH, what an earlier run has fetched, or the official one, checked by its sum.
find_node() {
  for candidate in "$(command -v node 2>/dev/null || true)" "$dir/node/bin/node"; do
    [ -n "$candidate" ] && [ -x "$candidate" ] || continue
    if "$candidate" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 10) ? 0 : 1)' 2>/dev/null; then
      node=$candidate
      return
    fi
  done
  case "$(uname -s)" in Linux) os=linux ;; Darwin) os=darwin ;; *) fail "agents run on Linux and macOS, this is $(uname -s)" ;; esac
  case "$(uname -m)" in x86_64 | amd64) arch=x64 ;; aarch64 | arm64) arch=arm64 ;; *) fail "there is Ray for x86_64 and aarch64 alone, this is $(uname -m)" ;; esac
  name="node-v$node_version-$os-$arch"
  say "  fetching Node $node_version"
  base="https://nodejs.org/dist/v$node_version"
  curl -fsSL -o "$work/$name.tar.gz" "$base/$name.tar.gz" || fail 'Node could not be fetched from nodejs.org: install Node 20.10 or newer and run this again'
  wanted=$(curl -fsSL "$base/SHASUMS256.txt" | grep " $name.tar.gz\\$" | cut -d ' ' -f 1)
  [ "$(checksum "$work/$name.tar.gz")" = "$wanted" ] || fail 'the Node that was fetched is not the one that nodejs.org lists'
  rm -rf "$dir/node.new" && mkdir -p "$dir/node.new"
  tar -xzf "$work/$name.tar.gz" -C "$dir/node.new" --strip-components 1
  rm -rf "$dir/node" && mv "$dir/node.new" "$dir/node"
  node="$dir/node/bin/node"
}

main() {
  has curl || fail 'curl is needed: install it and run this again'
  has tar || fail 'tar is needed: install it and run this again'
  if [ "$(id -u)" = 0 ]; then dir=/var/lib/iocloud-agent; else dir="$HOME/.iocloud-agent"; fi
  previous=
  for argument in "$@"; do
    case "$argument" in
      --dir=*) dir=\${argument#--dir=} ;;
      --control-plane=*) control_plane=\${argument#--control-plane=} ;;
    esac
    case "$previous" in --dir) dir=$argument ;; --control-plane) control_plane=$argument ;; esac
    previous=$argument
  done
  case "$dir" in /*) ;; *) dir="$PWD/$dir" ;; esac
  mkdir -p "$dir"
  chmod 700 "$dir"
  work=$(mktemp -d "$dir/.fetch-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  find_node
  release="$dir/releases/$version-$(printf '%.12s' "$sha256")"
  if [ ! -d "$release" ]; then
    say "  fetching the agent $version"
    curl -fsSL -o "$work/$file" "$control_plane/agent/$file" || fail "the agent could not be fetched from $control_plane: can this machine reach it?"
    [ "$(checksum "$work/$file")" = "$sha256" ] || fail 'the agent that was fetched is not the one that this script is for: fetch the script again'
    tar -xzf "$work/$file" -C "$work"
    mkdir -p "$dir/releases"
    mv "$work/iocloud-agent" "$release"
  fi
  rm -rf "$work"
  trap - EXIT
  exec "$node" "$release/agent/program/join.mjs" --control-plane "$control_plane" "$@" </dev/null
}

main "$@"
`;
}
