"""Has a container engine start the container of one lease, in which supervisor.py is PID 1.

    python container.py LEASE_DIR

As with a supervisor on the machine itself, whoever makes process.json first decides: the supervisor inside begins when the
file `go` is there, which is made only if process.json was made here; else the container is removed.
"""

import json
import os
import subprocess
import sys

import supervisor

ENGINE_TIMEOUT_S = 120
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main(lease_dir):
    with open(os.path.join(lease_dir, "launch.json")) as file:
        container = json.load(file)["container"]
    # Its group stays root's, which is the supervisor's: nothing else here is for the renter to read.
    token = os.path.join(lease_dir, "token")
    os.chown(token, container["renter"], 0)
    os.chmod(token, 0o440)
    engine(container["run"])
    pid = int(engine([*container["engine"], "inspect", "--format={{.State.Pid}}", container["name"]]))
    if pid and supervisor.claim(lease_dir, pid):
        supervisor.write_text(os.path.join(lease_dir, "go"), "")
    else:
        engine(container["remove"])


def engine(command):
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ENGINE_TIMEOUT_S, env={"PATH": PATHS}
    )
    if done.returncode != 0:
        sys.exit(f"{os.path.basename(command[0])}: {done.stderr.strip()[-1500:]}")
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1])
