"""An address of its own on the user's machine for each tunnel, so that all keep their own ports.

Linux has all of 127.0.0.0/8 on its loopback interface.  An address is made of the tunnel's id, so
that it stays the same whatever else the user may open.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

NETWORK = ipaddress.IPv4Network("127.64.0.0/10")


def own_addresses(tunnel_ids: Iterable[str]) -> dict[str, str]:
    """Give each tunnel an address; of two that come to the same, the later one takes the next.

    :param tunnel_ids: of all tunnels of the user; ids are in the order in which they were made.
    """
    found: dict[str, str] = {}
    taken: set[int] = set()
    # Neither the network's own address nor its last one.
    places = NETWORK.num_addresses - 2
    for one in sorted(set(tunnel_ids)):
        place = int.from_bytes(hashlib.sha256(one.encode("utf-8")).digest()[:8], "big") % places
        while place in taken:
            place = (place + 1) % places
        taken.add(place)
        found[one] = str(NETWORK[place + 1])
    return found
