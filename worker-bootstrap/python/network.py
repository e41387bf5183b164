"""The network namespace that the Ray nodes of one cluster share on this machine.

    python network.py up NAME DIR [ALLOWED...]   make it, bound to DIR/NAME; prints {"outbound": true|false, "reason": "..."}
    python network.py down NAME DIR              take away all that `up` made; nothing to take away is no error
    python network.py list DIR                   prints the names under DIR

Ray listens on every address it sees. Here it sees `lo` and one end of a veth pair. Outwards, the host masquerades what
comes from it; what passes in and out is firewall.py's matter. NAME is at most 13 characters: it also names the veth end on
the host and the nftables tables. ALLOWED are networks, as 10.1.0.0/16, that are reached although they are private.
"""

import fcntl
import hashlib
import ipaddress
import json
import os
import socket
import struct
import sys

import firewall
import linux

SUBNETS = ipaddress.ip_network("10.199.0.0/16")
INSIDE_NAME = "eth0"
IP_FORWARD = "/proc/sys/net/ipv4/ip_forward"
# Shared by all agents of the machine: whichever takes down the last namespace puts the setting back.
FORWARD_MARKER = "/run/iocloud-ip-forward"


def main(arguments):
    if len(arguments) >= 3 and arguments[0] == "up":
        print(json.dumps(up(arguments[1], arguments[2], arguments[3:])))
    elif len(arguments) == 3 and arguments[0] == "down":
        down(arguments[1], arguments[2])
    elif len(arguments) == 2 and arguments[0] == "list":
        print(json.dumps(sorted(os.listdir(arguments[1])) if os.path.isdir(arguments[1]) else []))
    else:
        sys.exit(__doc__)


def up(name, directory, allowed):
    path = os.path.join(directory, name)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if os.path.ismount(path) or is_namespace(path):
        return read_result(path)
    down(name, directory)
    make_namespace(path)
    try:
        wire(name, path, allowed)
        result = {"outbound": True, "reason": ""}
    except Exception as error:  # the sandbox is good without outbound network; the reason is shown to the operator
        unwire(name)
        result = {"outbound": False, "reason": f"no outbound network for jobs: {type(error).__name__}: {error}"}
    with open(path + ".json", "w") as file:
        json.dump(result, file)
    return result


def down(name, directory):
    path = os.path.join(directory, name)
    while is_namespace(path):
        linux.unmount(path)
    unwire(name)
    for leftover in (path, path + ".json"):
        if os.path.exists(leftover):
            os.unlink(leftover)


def read_result(path):
    try:
        with open(path + ".json") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {"outbound": False, "reason": "the namespace was left half made by an agent that died"}


def is_namespace(path):
    """Whether a network namespace is bound to the path: such a file lives on nsfs, not on the directory's device."""
    return os.path.exists(path) and os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev


def make_namespace(path):
    def make():
        linux.unshare(linux.CLONE_NEWNET)
        raise_loopback()
        # Bound by the parent's mount namespace, which this child shares.
        linux.mount("/proc/self/ns/net", path, None, linux.MS_BIND)

    open(path, "w").close()
    if not in_child(make, "no network namespace"):
        os.unlink(path)
        sys.exit(1)


def in_child(work, complaint):
    """Whether the work went well in a process of its own, which may leave this one's network behind."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{complaint}: {error}", file=sys.stderr)
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def raise_loopback():
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, siocgifflags, request))[1]
        fcntl.ioctl(control, siocsifflags, struct.pack("16sh14x", b"lo", flags | iff_up))


def wire(name, path, allowed):
    from pyroute2 import IPRoute

    with IPRoute() as host:
        subnet = free_subnet(host, name)
        outside, inside = list(subnet.hosts())
        mtu = outbound_mtu(host)
        firewall.fence(host, name, str(subnet), allowed)
        fd = os.open(path, os.O_RDONLY)
        try:
            peer = {"ifname": INSIDE_NAME, "net_ns_fd": fd}
            host.link("add", ifname=name, kind="veth", peer=peer)
        finally:
            os.close(fd)
        index = host.link_lookup(ifname=name)[0]
        disable_ipv6(name)
        host.addr("add", index=index, address=str(outside), prefixlen=subnet.prefixlen)
        host.link("set", index=index, mtu=mtu, state="up")
    wire_inside(path, str(inside), subnet.prefixlen, str(outside), mtu)
    forward()


def wire_inside(path, address, prefix, gateway, mtu):
    from pyroute2 import IPRoute

    def work():
        linux.enter(path, linux.CLONE_NEWNET)
        with IPRoute() as inside:
            index = inside.link_lookup(ifname=INSIDE_NAME)[0]
            disable_ipv6(INSIDE_NAME)
            inside.addr("add", index=index, address=address, prefixlen=prefix)
            inside.link("set", index=index, mtu=mtu, state="up")
            inside.route("add", dst="default", gateway=gateway)

    if not in_child(work, "inside the namespace"):
        raise OSError("the address inside the namespace could not be set")


def unwire(name):
    from pyroute2 import IPRoute

    with IPRoute() as host:
        for index in host.link_lookup(ifname=name):
            host.link("del", index=index)
        others = [link for link in host.get_links() if (link.get_attr("IFLA_IFNAME") or "").startswith("ioc")]
    firewall.unfence(name)
    if not others and os.path.exists(FORWARD_MARKER):
        write(IP_FORWARD, "0")
        os.unlink(FORWARD_MARKER)


def free_subnet(host, name):
    """The same one each time for a name, unless something on the machine has it: then the next that is free."""
    taken = []
    for route in host.get_routes(family=socket.AF_INET):
        destination = route.get_attr("RTA_DST")
        if destination:
            taken.append(ipaddress.ip_network(f"{destination}/{route['dst_len']}", strict=False))
    count = SUBNETS.num_addresses // 4
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    for step in range(count):
        base = int(SUBNETS.network_address) + 4 * ((first + step) % count)
        subnet = ipaddress.ip_network((base, 30))
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise OSError(f"no free subnet in {SUBNETS}")


def outbound_mtu(host):
    for route in host.get_default_routes(family=socket.AF_INET):
        index = route.get_attr("RTA_OIF")
        if index:
            return host.get_links(index)[0].get_attr("IFLA_MTU")
    return 1500


def disable_ipv6(interface):
    path = f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"
    if os.path.exists(path):
        write(path, "1")


def forward():
    with open(IP_FORWARD) as file:
        if file.read().strip() == "1":
            return
    open(FORWARD_MARKER, "w").close()
    write(IP_FORWARD, "1")


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
