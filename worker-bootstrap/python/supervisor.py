"""Runs one Ray node (a lease) and outlives the agent that started it.

    python supervisor.py LEASE_DIR

LEASE_DIR/launch.json says what to run (`Launch` in src/leases/launch.ts). Written here, each by an atomic rename:

    process.json  {"pid", "startTicks"}: made once and exclusively, before Ray starts. Whoever makes it first decides:
                  an agent that finds a lease without it makes it itself, and then this program does nothing.
    status.json   {"ready": true, "rayNodeId"}, once the node does what it is for
    exit.json     {"message"}, when Ray ended, with the last lines of its output

With a namespace this process is PID 1 of a PID and a mount namespace: when it ends, however it ends, the kernel kills
all that ran in it. So it is in a container, where an engine has started it (container.py), and where Ray is another user's.
Without either, the agent finds what is left by the marker in the environment.
"""

import json
import os
import signal
import socket
import sys
import threading
import time

import relay
import renter

POLL_S = 0.05
HEAD_WAIT_S = 120
JOIN_TRIES = 3
TAIL_BYTES = 3000
FENCE_POLL_S = 0.1
GO_TIMEOUT_S = 60
FENCE_MARKER = "IOCLOUD_LEASE_ID"


class Supervisor:
    def __init__(self, lease_dir, launch):
        self.lease_dir = lease_dir
        self.launch = launch
        self.stopping = False
        self.ready = False
        self.ray_pid = None

    def watch_fence(self, fence):
        """Ends all of this Ray node when the time in the fence file is over: see src/leases/fence.ts."""
        while True:
            deadline = fence_deadline(fence)
            if deadline and uptime() > deadline:
                message = "the control plane was out of reach for too long: its other machines take over"
                write_json(self.path("exit.json"), {"message": message})
                if not is_apart(self.launch):
                    kill_marked(self.launch["env"][FENCE_MARKER])
                # In a PID namespace this is its PID 1: the kernel kills all others.
                os._exit(0)
            time.sleep(FENCE_POLL_S)

    def path(self, name):
        return os.path.join(self.lease_dir, name)

    def run(self):
        signal.signal(signal.SIGTERM, self.on_stop)
        # Not ignored, which programs that are started would inherit.
        signal.signal(signal.SIGINT, lambda *_: None)
        tries = 1 if self.launch["head"] is None else JOIN_TRIES
        message = ""
        for attempt in range(tries):
            if not self.wait_for_head():
                message = f"the head did not answer at {self.launch['head'][0]} within {HEAD_WAIT_S} s"
                break
            self.start_ray()
            threading.Thread(target=self.probe, args=(self.ray_pid,), daemon=True).start()
            status = self.reap_until(self.ray_pid)
            self.ray_pid = None
            message = f"Ray ended ({describe(status)}). {tail(self.path('ray.log'))}"
            if self.ready or self.stopping:
                break
        if self.stopping:
            message = "stopped"
        write_json(self.path("exit.json"), {"message": message[-4000:]})

    def on_stop(self, *_):
        if self.stopping:
            return
        self.stopping = True
        if self.ray_pid is None:
            write_json(self.path("exit.json"), {"message": "stopped"})
            os._exit(0)
        os.kill(self.ray_pid, signal.SIGTERM)
        signal.signal(signal.SIGALRM, self.on_stop_timeout)
        signal.alarm(int(self.launch["stopTimeoutSeconds"]))

    def on_stop_timeout(self, *_):
        write_json(self.path("exit.json"), {"message": "stopped; Ray did not end by itself and was killed"})
        os._exit(0)

    def start_ray(self):
        container = self.launch["container"]
        if container is not None:
            user, log_path = container["renter"], self.path("ray.log")
            self.ray_pid = renter.start(self.launch["argv"], self.launch["env"], user, log_path, self.pump)
            return
        log = os.open(self.path("ray.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        self.ray_pid = os.posix_spawn(
            self.launch["argv"][0],
            self.launch["argv"],
            self.launch["env"],
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
        )
        os.close(log)
        os.close(null)

    def pump(self, source, path):
        threading.Thread(target=renter.keep_log, args=(source, path), daemon=True).start()

    def reap_until(self, wanted):
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == wanted:
                return status

    def wait_for_head(self):
        if self.launch["head"] is None:
            return True
        deadline = time.monotonic() + HEAD_WAIT_S
        while time.monotonic() < deadline:
            if can_connect(self.launch["head"]):
                return True
            time.sleep(POLL_S)
        return False

    def probe(self, ray_pid):
        """Ready means: the dashboard answers (head), Ray says that the node has joined, and jobs can be started on it."""
        dashboard, agent = self.launch["dashboard"], self.launch["dashboardAgent"]
        told = False
        while self.ray_pid == ray_pid:
            told = told or self.tell_agent_port(agent[1])
            if (
                (dashboard is None or answers_version(dashboard, self.launch["tokenFile"]))
                and can_connect(agent)
                and b"Ray runtime started" in read(self.path("ray.log"))
            ):
                self.ready = True
                node_id = self.raylet().get("node_id")
                write_json(self.path("status.json"), {"ready": True, "rayNodeId": node_id})
                return
            time.sleep(POLL_S)

    def raylet(self):
        """The options of this lease's raylet: without a PID namespace, those of others with its address are seen, too."""
        sessions = None if is_apart(self.launch) else self.launch["sessionsDir"]
        return raylet_options(self.launch["nodeIp"], sessions)

    def tell_agent_port(self, port):
        """Tells the raylet the port of its dashboard agent in the file in which the agent would: True once it is done.

        The raylet joins the cluster only when it knows that, and the agent, a large Python program, says it seconds later.
        `ray start` hands over the other ports of agents, but not this one.
        """
        raylet = self.raylet()
        if "session_dir" not in raylet or "node_id" not in raylet:
            return False
        file = os.path.join(raylet["session_dir"], f"dashboard_agent_listen_port_{raylet['node_id']}")
        if self.launch["container"] is None:
            write_text(file, str(port))
        else:
            renter.write(self.launch["container"]["renter"], file, str(port))
        return True


def is_apart(launch):
    """Whether the lease has processes of its own."""
    return launch["sandbox"] is not None or launch["container"] is not None


def uptime():
    """The clock of the fence. Seconds."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() if clock is None else time.clock_gettime(clock)


def fence_deadline(fence):
    """None while there is no fence. The file is written in place, so an open one stays the right one."""
    words = os.pread(fence, 64, 0).split()
    return float(words[0]) if words else None


def kill_marked(lease_id):
    """Kills every process of the lease but this one. Without /proc the agent does, when it comes back."""
    # Not the variable as a whole: a process that has given itself a title has overwritten some of its environment.
    marker = lease_id.encode()
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else []):
        if int(pid) != os.getpid() and marker in read(f"/proc/{pid}/environ"):
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass


def can_connect(address):
    try:
        socket.create_connection(tuple(address), timeout=1).close()
        return True
    except OSError:
        return False


def answers_version(address, token_file):
    token = read(token_file).strip()
    request = b"GET /api/version HTTP/1.1\r\nHost: ray\r\nConnection: close\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    try:
        with socket.create_connection(tuple(address), timeout=2) as connection:
            connection.sendall(request)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def raylet_options(node_ip, sessions):
    """What a raylet with this address was told on its command line; only one of the sessions in this directory, if given.

    Empty before it runs, and where processes cannot be read (macOS).
    """
    if not os.path.isdir("/proc/self"):
        return {}
    address = f"--node_ip_address={node_ip}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        arguments = read(f"/proc/{pid}/cmdline").split(b"\0")
        if arguments[0].endswith(b"/raylet") and address in arguments:
            options = [argument[2:].decode("utf-8", "replace").split("=", 1) for argument in arguments if b"=" in argument]
            named = {name.replace("-", "_"): value for name, value in options}
            if sessions is None or named.get("session_dir", "").startswith(sessions):
                return named
    return {}


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def tail(path):
    return read(path)[-TAIL_BYTES:].decode("utf-8", "replace").strip()


def describe(status):
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"exit code {os.WEXITSTATUS(status)}"


def write_json(path, value):
    write_text(path, json.dumps(value))


def write_text(path, text):
    """Never seen half written."""
    temporary = f"{path}.{os.getpid()}.{threading.get_ident()}.new"
    with open(temporary, "w") as file:
        file.write(text)
    os.rename(temporary, path)


def claim(lease_dir, pid):
    """Makes process.json unless it is there: True if this call made it."""
    temporary = os.path.join(lease_dir, f"process.json.{os.getpid()}.new")
    with open(temporary, "w") as file:
        json.dump({"pid": pid, "startTicks": start_ticks(pid)}, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, os.path.join(lease_dir, "process.json"))
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)


def start_ticks(pid):
    """The start time in clock ticks since boot (Linux), so that a reused pid is never taken for this process; else 0."""
    stat = read(f"/proc/{pid}/stat")
    return int(stat[stat.rindex(b")") + 2 :].split()[19]) if stat else 0


def main(lease_dir):
    with open(os.path.join(lease_dir, "launch.json")) as file:
        launch = json.load(file)
    if launch["container"] is not None:
        begin_in_container(lease_dir)
    fence = os.open(launch["fenceFile"], os.O_RDONLY | os.O_CLOEXEC)
    relayed = [("dashboardSocket", "dashboard"), ("gcsSocket", "gcs")]
    listeners = [(relay.listen(launch[socket]), launch[target]) for socket, target in relayed if launch[socket]]
    if launch["container"] is not None:
        supervise(lease_dir, launch, fence, listeners)
    sandboxed = launch["sandbox"] is not None
    if sandboxed:
        import sandbox

        sandbox.unshare(launch["sandbox"])
    gate_out, gate_in = os.pipe()
    child = os.fork()
    if child != 0:
        os.close(gate_out)
        if claim(lease_dir, child):
            os.write(gate_in, b"1")
        os._exit(0)
    os.close(gate_in)
    if os.read(gate_out, 1) != b"1":
        os._exit(1)
    os.close(gate_out)
    os.setsid()
    supervise(lease_dir, launch, fence, listeners)


def begin_in_container(lease_dir):
    """Waits until whoever started the container has made this process the lease's; nobody may have."""
    log = os.open(os.path.join(lease_dir, "supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    deadline = time.monotonic() + GO_TIMEOUT_S
    while not os.path.exists(os.path.join(lease_dir, "go")):
        if time.monotonic() > deadline:
            sys.exit("nobody made this container the lease's")
        time.sleep(POLL_S)


def supervise(lease_dir, launch, fence, listeners):
    try:
        if launch["sandbox"] is not None:
            import sandbox

            sandbox.furnish(launch["sandbox"])
        elif launch["container"] is None and sys.platform == "linux":
            import linux

            linux.become_subreaper()
        for listener, target in listeners:
            relay.serve(listener, *target)
        supervisor = Supervisor(lease_dir, launch)
        threading.Thread(target=supervisor.watch_fence, args=(fence,), daemon=True).start()
        supervisor.run()
    except BaseException as error:
        write_json(os.path.join(lease_dir, "exit.json"), {"message": f"the supervisor failed: {error!r}"})
        raise
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
