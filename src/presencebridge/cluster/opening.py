"""From the section to the cluster: the one place where NATS is imported."""

import contextlib
import ssl
from collections.abc import AsyncIterator

from presencebridge.cluster.engine import EngineError
from presencebridge.cluster.files import Seal
from presencebridge.cluster.joined import Cluster
from presencebridge.cluster.key_check import CURE, DOES_NOT_FIT, fits
from presencebridge.cluster.nats_engine import Access, NatsEngine, nats_engine
from presencebridge.cluster.records import (
    ALL_NODES,
    ALL_OWNERS,
    KEY_IN_USE,
    node_in,
    owner_in,
    sign_in_key,
    site_of_owner,
)
from presencebridge.config.cluster_section import ClusterSection
from presencebridge.errors import Misconfigured, Problem, TryAgain


def access_of(section: ClusterSection) -> Access:
    """Raises `Misconfigured` where a certificate can't be used."""
    tls: ssl.SSLContext | None = None
    if section.ca_file or section.certificate_file or any(map(_is_tls, section.servers)):
        tls = ssl.create_default_context()
        for word, load in (("ca_file", tls.load_verify_locations), ("certificate_file", tls.load_cert_chain)):
            file = getattr(section, word)
            try:
                if file is not None:
                    load(file)
            except (OSError, ValueError):
                cure = "name a PEM file; that of a certificate_file holds the private key too"
                problem = Problem(f"[cluster] {word}", f"{file} can't be used", cure)
                raise Misconfigured([problem]) from None
    return Access(
        section.servers,
        credentials=section.credentials_file,
        tls=tls,
        prefix=section.prefix,
        replicas=section.replicas,
    )


def _is_tls(server: str) -> bool:
    return server.startswith("tls://")


def seal_of(section: ClusterSection) -> Seal:
    """Raises `Misconfigured`."""
    try:
        return Seal(section.cluster_key_file)
    except (OSError, ValueError) as error:
        cure = "make it once with `presencebridge cluster key`, and copy it to every node"
        problem = Problem("[cluster] cluster_key_file", f"can't be used: {error}", cure)
        raise Misconfigured([problem]) from None


def cluster_of(section: ClusterSection) -> Cluster:
    """This node's part. Raises `Misconfigured`."""
    access, seal = access_of(section), seal_of(section)
    name = section.node_name

    def engine() -> contextlib.AbstractAsyncContextManager[NatsEngine]:
        return nats_engine(access, name)

    return Cluster(engine, seal, name=name, lease_s=section.lease_s)


@contextlib.asynccontextmanager
async def connected(section: ClusterSection) -> AsyncIterator[NatsEngine]:
    """For commands. Raises `TryAgain` where NATS can't be reached."""
    try:
        async with nats_engine(access_of(section), f"{section.node_name} command") as engine:
            yield engine
    except EngineError as error:
        cure = "see that NATS runs and its addresses in [cluster] servers are right: docs/cluster.md"
        raise TryAgain(str(error), cure=cure) from error


async def lay_down_sign_in(section: ClusterSection, site: str, name: str, content: bytes) -> None:
    """A sign-in that was made here, for whichever node owns the site. Raises `TryAgain`, `Misconfigured`."""
    seal, key = seal_of(section), sign_in_key(site, name)
    async with connected(section) as engine:
        if not await fits(engine, seal):
            raise Misconfigured([Problem("[cluster] cluster_key_file", DOES_NOT_FIT, CURE)])
        found = await engine.last(key)
        await engine.put(key, seal.close(f"{site}/{name}", content), found)


async def make_ours_the_key(section: ClusterSection) -> None:
    """Let the cluster seal with our key, whichever it was. Raises `TryAgain`, `Misconfigured`."""
    seal = seal_of(section)
    async with connected(section) as engine:
        await engine.put(KEY_IN_USE, seal.newest.encode(), await engine.last(KEY_IN_USE))


async def shown(section: ClusterSection) -> list[str]:
    """Nodes and owners in words. Raises `TryAgain`, `Misconfigured`."""
    seal = seal_of(section)
    async with connected(section) as engine:
        lines = [] if await fits(engine, seal) else [f"key: {DOES_NOT_FIT}; cure: {CURE}"]
        found = await engine.under(ALL_NODES)
        nodes = [node for one in found.values() if (node := node_in(one.value))]
        owners = {}
        for key, one in (await engine.under(ALL_OWNERS)).items():
            with contextlib.suppress(ValueError):  # a key that no node has written
                if owner := owner_in(one.value):
                    owners[site_of_owner(key)] = owner
    alive = {node.incarnation for node in nodes if not node.ended}
    for node in sorted(nodes, key=lambda one: one.name):
        count = sum(one.incarnation == node.incarnation and not one.released for one in owners.values())
        how = "gone" if node.ended else "here" if node.takes_sites else "leaving"
        lines.append(f"node {node.name}: {how}, {count} sites, version {node.version}")
    for site, owner in sorted(owners.items()):
        is_held = owner.incarnation in alive and not owner.released
        lines.append(f"site {site}: {owner.node if is_held else 'nobody'}, epoch {owner.epoch}")
    return lines
