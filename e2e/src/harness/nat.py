"""What the gateway of a pretended site lets through: python nat.py KIND INSIDE OUTSIDE, in the gateway's network namespace.

    cone          what goes out keeps its port; what comes in must be an answer (RFC 4787: endpoint-independent mapping,
                  address- and port-dependent filtering)
    symmetric     each destination sees another port
    udp-blocked   as cone, and no UDP goes out
"""

import os
import socket
import sys

sys.path.insert(0, os.environ["IOCLOUD_AGENT_PYTHON"])
from firewall import (  # noqa: E402
    DROP,
    META_IIFNAME,
    META_L4PROTO,
    META_OIFNAME,
    NFPROTO_IPV4,
    REGISTER,
    compare,
    expression,
    interface,
    is_new,
    verdict,
)

FULLY_RANDOM = ("NF_NAT_RANGE_PROTO_RANDOM_FULLY",)


def is_udp():
    return [expression("meta", key=META_L4PROTO, dreg=REGISTER), compare(bytes([socket.IPPROTO_UDP]))]


def main(kind, inside, outside):
    from pyroute2.nftables.main import NFTables

    masquerade = expression("masq", flags=FULLY_RANDOM) if kind == "symmetric" else expression("masq")
    with NFTables(nfgen_family=NFPROTO_IPV4) as nft:
        nft.begin()
        nft.table("add", name="site")
        nft.chain("add", table="site", name="out", hook="postrouting", type="nat", priority=100, policy=1)
        nft.rule("add", table="site", chain="out", expressions=([*interface(META_OIFNAME, outside), masquerade],))
        nft.chain("add", table="site", name="through", hook="forward", type="filter", priority=0, policy=1)
        nft.rule("add", table="site", chain="through", expressions=([*interface(META_OIFNAME, inside), *is_new(), verdict(DROP)],))
        if kind == "udp-blocked":
            nft.rule("add", table="site", chain="through", expressions=([*is_udp(), verdict(DROP)],))
        # Without it conntrack notes what was meant for nobody here, and gives its port to no one else.
        nft.chain("add", table="site", name="in", hook="input", type="filter", priority=0, policy=1)
        nft.rule("add", table="site", chain="in", expressions=([*interface(META_IIFNAME, outside), verdict(DROP)],))
        nft.commit()


if __name__ == "__main__":
    main(*sys.argv[1:])
