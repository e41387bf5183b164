"""The namespaces of one Ray node: its cluster's network, its own processes, its own view of the file system.

`launch["sandbox"]` is {"network": file, "tmp": directory, "hide": [directories], "keep": [directories]}: `tmp` takes the
place of /tmp; the directories of `hide` look empty; those of `keep` stay visible wherever they lie.
"""

import os

import linux

SYSTEMD_RESOLVERS = "/run/systemd/resolve/resolv.conf"
RESOLVERS = "/etc/resolv.conf"


def unshare(spec):
    """Only children of the caller are in the new PID namespace."""
    linux.enter(spec["network"], linux.CLONE_NEWNET)
    linux.unshare(linux.CLONE_NEWPID | linux.CLONE_NEWNS)


def furnish(spec):
    # Slave: mounts of the host still arrive, so that it can let go of its own, and nothing from here goes out.
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_SLAVE)
    kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in spec["keep"]]
    linux.mount(spec["tmp"], "/tmp", None, linux.MS_BIND)
    for path in spec["hide"]:
        if os.path.isdir(path):
            linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=0755,size=1m")
    for path, fd in kept:
        if not same_file(path, fd):
            os.makedirs(path, exist_ok=True)
            linux.mount(f"/proc/self/fd/{fd}", path, None, linux.MS_BIND | linux.MS_REC)
        os.close(fd)
    # Ray keeps its object store here; with the namespace it goes, whatever dies how.
    if os.path.isdir("/dev/shm"):
        linux.mount("tmpfs", "/dev/shm", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")
    bring_resolvers()
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)


def same_file(path, fd):
    try:
        here, there = os.stat(path), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def bring_resolvers():
    """A resolver on the host's loopback cannot be reached from here; systemd names those behind it in a file."""
    try:
        with open(RESOLVERS) as file:
            servers = [line.split()[1] for line in file if line.startswith("nameserver ")]
    except OSError:
        return
    if any(server.startswith("127.") or server == "::1" for server in servers) and os.path.exists(SYSTEMD_RESOLVERS):
        linux.mount(SYSTEMD_RESOLVERS, os.path.realpath(RESOLVERS), None, linux.MS_BIND)
