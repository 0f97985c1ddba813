"""Pure: which node each site belongs to.

Rendezvous hashing with a bound: a site goes to the node that its hash likes best and that has room. Every
node comes to the same result from the same facts, no node has more than its share rounded up, and when a node
comes or goes, few sites move but those that must.
"""

import hashlib
import heapq
import math
from collections.abc import Collection, Mapping


def spread(sites: Collection[str], nodes: Collection[str]) -> Mapping[str, str]:
    """The node of each site; nothing where there are no nodes."""
    if not nodes:
        return {}
    most = math.ceil(len(sites) / len(nodes))
    load = dict.fromkeys(nodes, 0)
    home: dict[str, str] = {}
    # The best match of all first, so that what is left over does not depend on the order of names.
    ranked = {site: sorted((_score(site, node) for node in nodes), reverse=True) for site in sites}
    queue: list[tuple[bytes, str, int]] = []
    for site, scores in ranked.items():
        heapq.heappush(queue, (_inverted(scores[0][0]), site, 0))
    while queue:
        _, site, turn = heapq.heappop(queue)
        node = ranked[site][turn][1]
        if load[node] < most:
            load[node] += 1
            home[site] = node
        else:
            heapq.heappush(queue, (_inverted(ranked[site][turn + 1][0]), site, turn + 1))
    return home


def _score(site: str, node: str) -> tuple[bytes, str]:
    return hashlib.blake2b(f"{site}\0{node}".encode(), digest_size=8).digest(), node


def _inverted(score: bytes) -> bytes:
    return bytes(255 - byte for byte in score)
