"""Connects to ports and Unix sockets inside a lease for its renter, and carries the bytes.

    python dial.py SOCKET      {"lease": {"pid", "startTicks"} | null, "user": uid} as one line on standard input; prints "ready"

Without a lease to enter it is in the lease's container already, as its root, and becomes the user once it listens.

Listens on SOCKET. Each connection there begins with a stream request (`connect` or `connect-socket` of the agent
protocol) and gets its answer as one line; then bytes go both ways. It ends when standard input does, which is when the
agent lets go of it or dies, and with the lease, because it is in the lease's PID namespace.

Only what is inside can be reached: loopback and the addresses of the namespace's own interfaces. From there a way leads
out, to the supplier's network and the machine itself, which renters' programs may be kept from by other means; a forward
never takes it.
"""

import encodings.idna  # noqa: F401  (what an address lookup would load later, when the files are those of the lease)
import ipaddress
import json
import os
import socket
import sys
import threading

import enter
import relay
import renter

LONGEST_REQUEST = 8192
CONNECT_TIMEOUT_S = 10
OWN_DIRECTORIES = ("/tmp/", "/dev/shm/")


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def serve(listener):
    threading.stack_size(256 * 1024)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=carry, args=(client,), daemon=True).start()


def carry(client):
    with client:
        try:
            line, rest = first_line(client)
            server = connect(json.loads(line))
        except Refused as refusal:
            answer(client, {"ok": False, "code": refusal.code, "message": str(refusal)})
            return
        except (OSError, ValueError):
            return  # the agent has gone, or says nothing that makes sense: closing is the answer
        with server:
            if answer(client, {"ok": True}):
                if rest:
                    server.sendall(rest)
                relay.join(client, server)


def answer(client, value):
    try:
        client.sendall(json.dumps(value).encode() + b"\n")
        return True
    except OSError:
        return False


def first_line(client):
    text = b""
    while b"\n" not in text:
        piece = client.recv(LONGEST_REQUEST)
        if not piece or len(text) > LONGEST_REQUEST:
            raise ValueError("no request")
        text += piece
    line, rest = text.split(b"\n", 1)
    return line, rest


def connect(request):
    if request["kind"] == "connect-socket":
        return connect_unix(request["path"])
    problem = None
    for address in addresses_inside(request["host"]):
        try:
            server = socket.create_connection((str(address), request["port"]), timeout=CONNECT_TIMEOUT_S)
        except OSError as error:
            problem = problem or error
            continue
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server
    raise Refused("not-ready", f"{request['host']}:{request['port']} does not answer: {problem}")


def connect_unix(path):
    """Of sockets in files, too, only the lease's own: the machine's may be in sight."""
    if not os.path.realpath(path).startswith(OWN_DIRECTORIES):
        raise Refused("bad-request", f"{path} is not inside the cluster: only sockets in its /tmp and /dev/shm are")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.settimeout(CONNECT_TIMEOUT_S)
        server.connect(path)
        server.settimeout(None)
        return server
    except OSError as error:
        server.close()
        raise Refused("not-ready", f"{path} does not answer: {error}") from error


def addresses_inside(host):
    """Names are not looked up: what they stand for is somebody else's to say."""
    if host.lower() == "localhost":
        return [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        address = None
    if address is not None and getattr(address, "ipv4_mapped", None):
        address = address.ipv4_mapped
    if address is None or not (address.is_loopback or is_own(address)):
        raise Refused("bad-request", f"{host} is not inside the cluster: only localhost and its own addresses are")
    return [address]


def is_own(address):
    """Linux lets a socket be bound to the addresses of its own namespace only."""
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((str(address), 0))
            return True
        except OSError:
            return False


def main(path):
    spec = json.loads(sys.stdin.readline())
    listener = relay.listen(path)
    if spec["lease"] is None:
        renter.become(spec["user"])
        listen(listener)
    try:
        enter.enter(spec["lease"])
    except enter.Gone as error:
        sys.exit(str(error))
    child = os.fork()
    if child != 0:
        # Its standard input is the child's, too: the agent's end of it is what keeps both.
        listener.close()
        os.waitpid(child, 0)
        os._exit(0)
    listen(listener)


def listen(listener):
    os.chdir("/")
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
