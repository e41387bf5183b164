"""The rules on the host around a cluster's network, one table of nftables for each address family that needs one.

Inwards every new connection is dropped, from the host itself and from other machines. Outwards a lease reaches the internet
and the machine's name servers, and nothing that lies beside the machine: private networks, neighbours on its links, the
cloud's metadata service, the machine itself. Networks that its owner allows are excepted.

Written over netlink, because a bare machine has neither `nft` nor `iptables`.
"""

import ipaddress
import socket
import struct

NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 = 1, 2, 10
HOOKS = ("forward", "output", "input")
DROP, ACCEPT = 0, 1
REGISTER, VERDICT = 1, 0
EQUAL, UNEQUAL = 0, 1
META_IIFNAME, META_OIFNAME, META_NFPROTO, META_L4PROTO = 6, 7, 15, 16
NETWORK_HEADER, TRANSPORT_HEADER = 1, 2
SOURCE, DESTINATION, DESTINATION_PORT = 12, 16, 2
DNS = 53

SYSTEMD_RESOLVERS = "/run/systemd/resolve/resolv.conf"
RESOLVERS = "/etc/resolv.conf"

# What the registry of special-purpose addresses (RFC 6890 and its heirs) says is not of the internet. 169.254.169.254, where
# clouds tell machines their secrets, is among the link-local ones.
PRIVATE = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
EVERYTHING = ipaddress.ip_network("0.0.0.0/0")


def expression(name, **attributes):
    data = [(f"NFTA_{name.upper()}_{key.upper()}", value) for key, value in attributes.items()]
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": data})]}


def value(data):
    return {"attrs": [("NFTA_DATA_VALUE", data)]}


def compare(data, op=EQUAL):
    return expression("cmp", sreg=REGISTER, op=op, data=value(data))


def masked(mask):
    return expression("bitwise", sreg=REGISTER, dreg=REGISTER, len=4, mask=value(mask), xor=value(b"\0\0\0\0"))


def verdict(code):
    data = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", code)]})]}
    return expression("immediate", dreg=VERDICT, data=data)


def interface(key, name):
    return [expression("meta", key=key, dreg=REGISTER), compare(name.encode().ljust(16, b"\0"))]


def is_new():
    """ct state new,invalid,untracked, as the kernel counts them"""
    return [expression("ct", key=0, dreg=REGISTER), masked(struct.pack("=I", 0x1 | 0x8 | 0x40)), compare(b"\0\0\0\0", UNEQUAL)]


def address(offset, network):
    return [
        expression("payload", dreg=REGISTER, base=NETWORK_HEADER, offset=offset, len=4),
        masked(network.netmask.packed),
        compare(network.network_address.packed),
    ]


def of_family(family):
    return [expression("meta", key=META_NFPROTO, dreg=REGISTER), compare(bytes([family]))]


def to_port(protocol, port):
    return [
        expression("meta", key=META_L4PROTO, dreg=REGISTER),
        compare(bytes([protocol])),
        expression("payload", dreg=REGISTER, base=TRANSPORT_HEADER, offset=DESTINATION_PORT, len=2),
        compare(struct.pack(">H", port)),
    ]


def rules_of(name, allowed, closed, resolvers):
    """(hook, expressions) in the order in which the kernel tries them."""
    rules = [(hook, [*interface(META_OIFNAME, name), *is_new(), verdict(DROP)]) for hook in ("forward", "output")]
    if EVERYTHING in allowed:
        return rules
    outwards = [*interface(META_IIFNAME, name), *of_family(NFPROTO_IPV4)]
    for hook in ("forward", "input"):
        for resolver in resolvers:
            for protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP):
                target = [*address(DESTINATION, resolver), *to_port(protocol, DNS)]
                rules.append((hook, [*outwards, *target, verdict(ACCEPT)]))
        rules += [(hook, [*outwards, *address(DESTINATION, network), verdict(ACCEPT)]) for network in allowed]
    rules += [("forward", [*outwards, *address(DESTINATION, network), verdict(DROP)]) for network in closed]
    rules.append(("forward", [*interface(META_IIFNAME, name), *of_family(NFPROTO_IPV6), verdict(DROP)]))
    rules.append(("input", [*interface(META_IIFNAME, name), *is_new(), verdict(DROP)]))
    return rules


def name_servers():
    """Those that a lease can ask: systemd names the ones behind its own on loopback."""
    for path in (RESOLVERS, SYSTEMD_RESOLVERS):
        try:
            with open(path) as file:
                words = [line.split() for line in file]
        except OSError:
            continue
        found = [ipaddress.ip_address(line[1].split("%")[0]) for line in words if len(line) > 1 and line[0] == "nameserver"]
        usable = [server for server in found if server.version == 4 and not server.is_loopback]
        if usable:
            return [ipaddress.ip_network(server) for server in usable]
    return []


def neighbours(host):
    """The networks of the machine's own links: a supplier's may have public addresses, too."""
    networks = []
    for route in host.get_routes(family=socket.AF_INET):
        destination = route.get_attr("RTA_DST")
        if destination and route["dst_len"] and not route.get_attr("RTA_GATEWAY"):
            networks.append(ipaddress.ip_network(f"{destination}/{route['dst_len']}", strict=False))
    return networks


def fence(host, name, subnet, allowed):
    """Set before the veth pair is, so that there is no moment without rules. Whoever calls has cleared the name."""
    from pyroute2.nftables.main import NFTables

    networks = [ipaddress.ip_network(network) for network in allowed]
    closed = list(dict.fromkeys([*PRIVATE, *neighbours(host)]))
    with NFTables(nfgen_family=NFPROTO_INET) as nft:
        nft.begin()
        nft.table("add", name=name)
        for hook in HOOKS:
            nft.chain("add", table=name, name=hook, hook=hook, type="filter", priority=-10, policy=1)
        for hook, expressions in rules_of(name, networks, closed, name_servers()):
            nft.rule("add", table=name, chain=hook, expressions=(expressions,))
        nft.commit()
    with NFTables(nfgen_family=NFPROTO_IPV4) as nft:
        nft.begin()
        nft.table("add", name=name)
        nft.chain("add", table=name, name="postrouting", hook="postrouting", type="nat", priority=100, policy=1)
        masquerade = [*address(SOURCE, ipaddress.ip_network(subnet)), expression("masq")]
        nft.rule("add", table=name, chain="postrouting", expressions=(masquerade,))
        nft.commit()


def unfence(name):
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.nftables.main import NFTables

    for family in (NFPROTO_INET, NFPROTO_IPV4):
        try:
            with NFTables(nfgen_family=family) as nft:
                nft.begin()
                nft.table("del", name=name)
                nft.commit()
        except NetlinkError as error:
            if error.code != 2:  # no such table
                raise
