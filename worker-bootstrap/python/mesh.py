"""A WireGuard interface of this machine: its UDP socket outside, the interface in the network namespace of a cluster.

    python mesh.py up NAME PROGRAM NETWORK BLOCK   make it unless it is there; NETWORK `-` and BLOCK `-`: left outside, with
                                                   no address, for a device that only sees where its peers are
    python mesh.py down NAME                       take away what is left of it; nothing to take away is no error

PROGRAM is wireguard-go. It runs on when whoever started it is gone, and ends when its socket or its interface does, so also
when the namespace does. BLOCK is the machine's part of the network, as 100.64.3.0/24; all of its addresses are the interface's.
Standard error of PROGRAM goes to the file that $IOCLOUD_MESH_LOG names.
"""

import ipaddress
import os
import socket
import subprocess
import sys
import time

import linux
from network import disable_ipv6, in_child, outbound_mtu

SOCKETS = "/var/run/wireguard"
START_TIMEOUT_S = 10
# WireGuard's own overhead over IPv6, with which it fits IPv4 too, and then leaves room for the head of a relayed datagram.
OVERHEAD_BYTES = 80
PREFIX_LENGTH = 12
RTN_LOCAL, RT_SCOPE_HOST, RT_TABLE_LOCAL = 2, 254, 255


def main(arguments):
    if len(arguments) == 5 and arguments[0] == "up":
        up(*arguments[1:])
    elif len(arguments) == 2 and arguments[0] == "down":
        down(arguments[1])
    else:
        sys.exit(__doc__)


def up(name, program, network, block):
    from pyroute2 import IPRoute

    os.makedirs(SOCKETS, mode=0o700, exist_ok=True)
    if not answers(name):
        down(name)
        start(name, program)
    with IPRoute() as host:
        mtu = outbound_mtu(host) - OVERHEAD_BYTES
        found = host.link_lookup(ifname=name)
        if network == "-":
            disable_ipv6(name)
            host.link("set", index=found[0], mtu=mtu, state="up")
            return
        if found:
            fd = os.open(network, os.O_RDONLY | os.O_CLOEXEC)
            try:
                host.link("set", index=found[0], net_ns_fd=fd)
            finally:
                os.close(fd)
    if not in_child(lambda: furnish(name, network, ipaddress.ip_network(block), mtu), "inside the namespace"):
        raise OSError(f"the interface {name} could not be given its addresses")


def furnish(name, network, block, mtu):
    from pyroute2 import IPRoute

    linux.enter(network, linux.CLONE_NEWNET)
    with IPRoute() as inside:
        [index] = inside.link_lookup(ifname=name)
        disable_ipv6(name)
        inside.addr("replace", index=index, address=str(block[1]), prefixlen=PREFIX_LENGTH)
        inside.link("set", index=index, mtu=mtu, state="up")
        # Every address of the block may be bound, as with 127.0.0.0/8.
        inside.route(
            "replace", dst=str(block), oif=index, type=RTN_LOCAL, scope=RT_SCOPE_HOST, table=RT_TABLE_LOCAL
        )


def start(name, program):
    with open(os.environ.get("IOCLOUD_MESH_LOG", os.devnull), "ab") as log:
        process = subprocess.Popen(
            [program, "-f", name],
            env={"LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1", "IOCLOUD_MESH_LOG": log.name},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers(name):
        if process.poll() is not None:
            raise OSError(f"{program} ended with {process.returncode} at once; its words are in {log.name}")
        if time.monotonic() > deadline:
            process.kill()
            raise OSError(f"{program} did not answer within {START_TIMEOUT_S} s")
        time.sleep(0.02)


def down(name):
    from pyroute2 import IPRoute

    if os.path.lexists(path_of(name)):
        os.unlink(path_of(name))
    with IPRoute() as host:
        for index in host.link_lookup(ifname=name):
            host.link("del", index=index)


def path_of(name):
    return os.path.join(SOCKETS, f"{name}.sock")


def answers(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path_of(name))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
