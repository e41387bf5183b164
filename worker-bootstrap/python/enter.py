"""Enters the namespaces of a running lease, from outside: how shells and forwards come to be where its Ray node is."""

import os

import linux

NAMESPACES = [("net", linux.CLONE_NEWNET), ("pid", linux.CLONE_NEWPID), ("mnt", linux.CLONE_NEWNS)]


class Gone(Exception):
    """The lease has ended."""


def enter(process):
    """Makes the caller's children part of the lease, and its network and files those of the lease.

    `process` is {"pid", "startTicks"} of the supervisor, PID 1 of the lease's PID namespace. Its start is compared after
    its namespaces are held: they are its own then, and not those of a process that got its number since.
    """
    pid = process["pid"]
    held = []
    try:
        for name, kind in NAMESPACES:
            held.append((os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), kind, name))
        if start_ticks(pid) != process["startTicks"]:
            raise Gone("the lease has ended")
        for fd, kind, name in held:
            linux.set_namespace(fd, kind, name)
    except (FileNotFoundError, ProcessLookupError, ValueError) as error:
        raise Gone("the lease has ended") from error
    finally:
        for fd, _, _ in held:
            os.close(fd)


def start_ticks(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        stat = file.read()
    return int(stat[stat.rindex(b")") + 2 :].split()[19])
