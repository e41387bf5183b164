"""The few Linux calls that Python's standard library lacks before 3.12, by way of libc."""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000
MNT_DETACH = 0x2

PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def enter(namespace_file, kind):
    fd = os.open(namespace_file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        set_namespace(fd, kind, namespace_file)
    finally:
        os.close(fd)


def set_namespace(fd, kind, name):
    _check(_libc.setns(fd, kind), f"setns {name}")


def mount(source, target, filesystem, flags, data=None):
    encode = lambda text: None if text is None else text.encode()  # noqa: E731
    result = _libc.mount(encode(source), encode(target), encode(filesystem), ctypes.c_ulong(flags), encode(data))
    _check(result, f"mount {source} on {target}")


def unmount(target):
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def become_subreaper():
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
