"""One shell, command or SFTP server inside a lease, for its renter.

    python shell.py      frames on standard input and output (contracts/src/wire/frames.ts)

The first line of standard input says what to run:
{"lease": {"pid", "startTicks"} | null, "what": {"type", "command"}, "pty": {"term", "columns", "rows"} | null, "env": {…}}

This process stays outside; its child is in the lease's namespaces, as the Ray node's own programs are, and ends with the
lease. When standard input ends (the agent has let go, or died) the child is hung up as by a terminal that has gone.
Without a lease to enter (null) there are no namespaces on this machine.
"""

import collections
import errno
import fcntl
import json
import os
import pty
import pwd
import select
import signal
import struct
import sys
import termios

import enter
import sftp

STDIN, WINDOW, SIGNAL = 0, 1, 2
STDOUT, STDERR, EXIT = 16, 17, 18
HEAD = struct.Struct(">BI")
CHUNK = 64 * 1024
# More than this is left with whoever sends it: in each direction, so that a slow end holds up only its own stream.
HELD_BYTES = 512 * 1024
F_SETPIPE_SZ = 1031
SIGNALS = ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2")


class Session:
    def __init__(self, pid, stdin, outputs, is_terminal, first_bytes):
        self.pid = pid
        self.stdin = stdin
        # fd of what the program writes -> frame type
        self.outputs = outputs
        self.is_terminal = is_terminal
        self.inbound = bytearray(first_bytes)
        self.input = collections.deque()
        self.input_bytes = 0
        self.input_ended = False
        self.outbound = collections.deque()
        self.outbound_bytes = 0
        self.status = None
        self.peer_gone = False
        self.wake_out, wake_in = os.pipe()
        for fd in (0, 1, self.wake_out, wake_in, stdin, *outputs):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def run(self):
        self.parse()
        self.reap()
        while not self.is_over():
            poll = select.poll()
            poll.register(self.wake_out, select.POLLIN)
            if self.input_bytes < HELD_BYTES and len(self.inbound) < HELD_BYTES:
                poll.register(0, select.POLLIN)
            if self.outbound:
                poll.register(1, select.POLLOUT)
            if self.input and self.stdin is not None:
                poll.register(self.stdin, select.POLLOUT | (select.POLLIN if self.reads_terminal() else 0))
            if self.outbound_bytes < HELD_BYTES:
                for fd in self.outputs:
                    if fd != self.stdin or not self.input:
                        poll.register(fd, select.POLLIN)
            for fd, events in poll.poll():
                self.on_event(fd, events)
            if self.peer_gone:
                return self.hang_up()
        return None

    def reads_terminal(self):
        return self.stdin in self.outputs and self.outbound_bytes < HELD_BYTES

    def is_over(self):
        """When the program has ended and all that it wrote is through: as sshd does, what it left running may go on writing."""
        return self.status is not None and not self.outputs and not self.outbound

    def on_event(self, fd, events):
        if fd == self.wake_out:
            self.drain_wake_ups()
            self.reap()
        elif fd == 0:
            self.read_peer()
        elif fd == 1:
            self.write_peer()
        else:
            # A terminal is both: what there is to read is read first, so that a program that only writes is not held up.
            if fd in self.outputs and events & ~select.POLLOUT:
                self.read_output(fd)
            if fd == self.stdin and events & (select.POLLOUT | select.POLLERR):
                self.write_input()

    def drain_wake_ups(self):
        try:
            os.read(self.wake_out, 512)
        except BlockingIOError:
            pass

    def reap(self):
        if self.status is not None:
            return
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return
        self.status = status
        if self.is_terminal:
            # What runs on holds the terminal; what the program itself wrote before its end is there now.
            for fd in list(self.outputs):
                while fd in self.outputs and self.read_output(fd):
                    pass
                self.close_output(fd)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            name = signal.Signals(number).name[3:] if number in list(signal.Signals) else str(number)
            value = {"signal": name}
        else:
            value = {"code": os.WEXITSTATUS(status)}
        self.send(EXIT, json.dumps(value).encode())

    def read_peer(self):
        try:
            data = os.read(0, CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.peer_gone = True
            return
        self.inbound += data
        self.parse()

    def parse(self):
        at = 0
        while len(self.inbound) - at >= HEAD.size:
            kind, length = HEAD.unpack_from(self.inbound, at)
            if len(self.inbound) - at < HEAD.size + length:
                break
            start = at + HEAD.size
            self.on_frame(kind, bytes(self.inbound[start : start + length]))
            at = start + length
        if at:
            del self.inbound[:at]

    def on_frame(self, kind, payload):
        if kind == STDIN:
            self.input_ended = self.input_ended or not payload
            self.input.append(payload)
            self.input_bytes += len(payload)
            self.write_input()
        elif kind == WINDOW and self.is_terminal and len(payload) == 4:
            columns, rows = struct.unpack(">HH", payload)
            set_size(self.stdin if self.stdin is not None else next(iter(self.outputs), None), columns, rows)
        elif kind == SIGNAL:
            self.signal(payload.decode("ascii", "replace"))

    def signal(self, name):
        if name in SIGNALS and self.status is None:
            group = self.pid
            if self.is_terminal and self.stdin is not None:
                try:
                    group = os.tcgetpgrp(self.stdin) or self.pid
                except OSError:
                    pass
            kill_group(group, getattr(signal, f"SIG{name}"))

    def write_input(self):
        while self.input and self.stdin is not None:
            piece = self.input[0]
            if not piece:
                self.end_input()
                return
            try:
                written = os.write(self.stdin, piece)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.drop_input()
                return
            self.input_bytes -= written
            if written == len(piece):
                self.input.popleft()
            else:
                self.input[0] = piece[written:]
        if self.stdin is None:
            self.drop_input()

    def end_input(self):
        self.input.clear()
        self.input_bytes = 0
        if self.is_terminal:
            # There is no half of a terminal to close: its own character says that the input has ended.
            try:
                os.write(self.stdin, termios.tcgetattr(self.stdin)[6][termios.VEOF])
            except OSError:
                pass
        else:
            self.drop_input()

    def drop_input(self):
        self.input.clear()
        self.input_bytes = 0
        if self.stdin is not None and not self.is_terminal:
            os.close(self.stdin)
            self.stdin = None

    def read_output(self, fd):
        """Whether there was anything."""
        try:
            data = os.read(fd, CHUNK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal that nobody holds any more
                raise
            data = b""
        if data:
            self.send(self.outputs[fd], data)
            return True
        self.close_output(fd)
        return False

    def close_output(self, fd):
        if self.outputs.pop(fd, None) is None:
            return
        os.close(fd)
        if fd == self.stdin:
            self.stdin = None
            self.drop_input()

    def send(self, kind, payload):
        self.outbound.append(HEAD.pack(kind, len(payload)))
        self.outbound.append(payload)
        self.outbound_bytes += HEAD.size + len(payload)
        self.write_peer()

    def write_peer(self):
        while self.outbound:
            pieces = [self.outbound[index] for index in range(min(64, len(self.outbound)))]
            try:
                written = os.writev(1, pieces)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.peer_gone = True
                return
            self.outbound_bytes -= written
            while self.outbound and written >= len(self.outbound[0]):
                written -= len(self.outbound.popleft())
            if written:
                self.outbound[0] = self.outbound[0][written:]

    def hang_up(self):
        """As when a terminal goes: whoever has asked not to be ended by that (nohup, tmux) goes on in the lease."""
        if self.status is None:
            kill_group(self.pid, signal.SIGHUP)
            kill_group(self.pid, signal.SIGCONT)
        for fd in list(self.outputs):
            self.close_output(fd)


def kill_group(group, number):
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def set_size(fd, columns, rows):
    if fd is not None and columns and rows:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def start(spec):
    """Returns pid, the fd of its input, and those of its outputs."""
    if spec["pty"] is not None:
        master, slave = pty.openpty()
        set_size(master, spec["pty"]["columns"], spec["pty"]["rows"])
        ours, theirs = [master], [slave, slave, slave]
        stdin, outputs = master, {master: STDOUT}
    else:
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe(), os.pipe()
        widen(in_write, out_read)
        ours, theirs = [in_write, out_read, err_read], [in_read, out_write, err_write]
        stdin, outputs = in_write, {out_read: STDOUT, err_read: STDERR}
    pid = os.fork()
    if pid == 0:
        become(spec, ours, theirs)
    for fd in set(theirs):
        os.close(fd)
    return pid, stdin, outputs


def widen(*pipes):
    for fd in pipes:
        try:
            fcntl.fcntl(fd, F_SETPIPE_SZ, 1024 * 1024)
        except OSError:  # not Linux, or the user has many already: the pipe works as it is
            pass


def become(spec, ours, theirs):
    try:
        os.setsid()
        if spec["pty"] is not None:
            fcntl.ioctl(theirs[0], termios.TIOCSCTTY, 0)
        for target, fd in enumerate(theirs):
            os.dup2(fd, target)
        for fd in {*ours, *theirs} - {0, 1, 2}:
            os.close(fd)
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        env = spec["env"]
        home = env.get("HOME") or "/"
        os.chdir(home if os.path.isdir(home) else "/")
        shell = own_shell()
        env["SHELL"] = shell
        if spec["pty"] is not None:
            env["TERM"] = spec["pty"]["term"] or "dumb"
            env["SSH_TTY"] = os.ttyname(0)
        what = spec["what"]
        if what["type"] == "sftp":
            os.environ.clear()
            os.environ.update(env)
            sftp.serve(0, 1)
            os._exit(0)
        # Not a login shell: its profile would put another `python` and `ray` first than those of the Ray node.
        arguments = [os.path.basename(shell)] + (["-c", what["command"]] if what["type"] == "exec" else [])
        os.execve(shell, arguments, env)
    except BaseException as error:
        os.write(2, f"iocloud: {error}\n".encode())
        os._exit(127)


def own_shell():
    try:
        shell = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        shell = ""
    usable = [one for one in (shell, "/bin/bash", "/bin/sh") if one and os.access(one, os.X_OK)]
    return next((one for one in usable if os.path.basename(one) not in ("nologin", "false")), "/bin/sh")


def read_spec():
    text = b""
    while b"\n" not in text:
        piece = os.read(0, CHUNK)
        if not piece:
            sys.exit("nothing was asked for")
        text += piece
    line, rest = text.split(b"\n", 1)
    return json.loads(line), rest


def main():
    spec, rest = read_spec()
    if spec["lease"] is not None:
        try:
            enter.enter(spec["lease"])
        except enter.Gone as error:
            sys.exit(str(error))
    pid, stdin, outputs = start(spec)
    Session(pid, stdin, outputs, spec["pty"] is not None, rest).run()
    os._exit(0)


if __name__ == "__main__":
    main()
