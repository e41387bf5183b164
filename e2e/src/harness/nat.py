"""What the gateway of a pretended site lets through: python nat.py KIND INSIDE OUTSIDE, in the gateway's network namespace.

    cone          what goes out keeps its port; what comes in must be an answer (RFC 4787: endpoint-independent mapping,
                  address- and port-dependent filtering)
    symmetric     each destination sees another port
    udp-blocked   as cone, and no UDP goes out
"""

import os
import socket
import struct
import sys

sys.path.insert(0, os.environ["IOCLOUD_AGENT_PYTHON"])
from network import DROP, NFPROTO_IPV4, expression, new_connection_into, value  # noqa: E402

META_IIFNAME, META_OIFNAME, META_L4PROTO = 6, 7, 16
FULLY_RANDOM = ("NF_NAT_RANGE_PROTO_RANDOM_FULLY",)


def name_is(key, interface):
    return [
        expression("meta", key=key, dreg=1),
        expression("cmp", sreg=1, op=0, data=value(interface.encode().ljust(16, b"\0"))),
    ]


def is_udp():
    return [
        expression("meta", key=META_L4PROTO, dreg=1),
        expression("cmp", sreg=1, op=0, data=value(bytes([socket.IPPROTO_UDP]))),
    ]


def drop():
    verdict = {"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", DROP)]})]}
    return [expression("immediate", dreg=0, data=verdict)]


def main(kind, inside, outside):
    from pyroute2.nftables.main import NFTables

    masquerade = expression("masq", flags=FULLY_RANDOM) if kind == "symmetric" else expression("masq")
    with NFTables(nfgen_family=NFPROTO_IPV4) as nft:
        nft.begin()
        nft.table("add", name="site")
        nft.chain("add", table="site", name="out", hook="postrouting", type="nat", priority=100, policy=1)
        nft.rule("add", table="site", chain="out", expressions=(name_is(META_OIFNAME, outside) + [masquerade],))
        nft.chain("add", table="site", name="through", hook="forward", type="filter", priority=0, policy=1)
        nft.rule("add", table="site", chain="through", expressions=(new_connection_into(inside),))
        if kind == "udp-blocked":
            nft.rule("add", table="site", chain="through", expressions=(is_udp() + drop(),))
        # Without it conntrack notes what was meant for nobody here, and gives its port to no one else.
        nft.chain("add", table="site", name="in", hook="input", type="filter", priority=0, policy=1)
        nft.rule("add", table="site", chain="in", expressions=(name_is(META_IIFNAME, outside) + drop(),))
        nft.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
