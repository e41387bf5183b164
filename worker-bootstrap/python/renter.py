"""In a container: what runs as the renter, and what of it is not to be trusted.

The supervisor is the container's root, with what it needs to become the renter and to end it. It follows no path that the
renter can change.
"""

import os
import subprocess
import sys

LOG_BYTES = 256 * 1024


def start(argv, env, user, log_path, pump):
    """Starts Ray as the renter; what it says is passed on to `pump`, as a file would let it fill the machine's disk."""
    process = subprocess.Popen(
        argv,
        env=env,
        user=user,
        group=user,
        extra_groups=[],
        cwd=env["HOME"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    # Whoever waits for all children has its status; it must not be asked for twice.
    process.returncode = 0
    pump(process.stdout, log_path)
    return process.pid


def keep_log(source, path):
    """The beginning stays as long as there is room, then all begins anew: readers want the last lines."""
    with source, open(path, "wb", buffering=0) as log:
        while True:
            piece = os.read(source.fileno(), 16 * 1024)
            if not piece:
                return
            if log.tell() + len(piece) > LOG_BYTES:
                log.seek(0)
                log.truncate()
            log.write(piece)


def write(user, path, text):
    """Writes a file as the renter would: at once, by renaming."""
    program = "import os, sys; open(sys.argv[1] + '.new', 'w').write(sys.argv[2]); os.rename(sys.argv[1] + '.new', sys.argv[1])"
    command = [sys.executable, "-E", "-s", "-S", "-c", program, path, text]
    subprocess.run(command, user=user, group=user, extra_groups=[], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def become(user):
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
