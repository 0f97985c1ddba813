"""Delivery by polling: the office's scenes without webhook, signed-in account and open port."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path

import pytest
import test_office
from e2e_sites import BUSY, FREE, V20_WEBSOCKET, PbxKind, Site, on

pytestmark = on(V20_WEBSOCKET)

SCENES = [scene for name, scene in vars(test_office).items() if name.startswith("test_")]


@pytest.fixture
def new_site(new_site: Callable[..., Site]) -> Callable[..., Site]:
    """Sites that poll, and on whose disk is nobody's sign-in."""

    def make(**words: str) -> Site:
        site = new_site(**words)
        text = site.config.read_text().replace('delivery = "webhook"', 'delivery = "poll"\npoll_every_s = 1')
        site.config.write_text(text)
        for kept in (site.folder / "state").iterdir():
            kept.unlink()
        return site

    return make


@pytest.mark.parametrize("scene", SCENES, ids=[scene.__name__.removeprefix("test_") for scene in SCENES])
def test_the_office_by_polling(
    scene: Callable[..., None],
    new_site: Callable[..., Site],
    pbx_kind: PbxKind,
) -> None:
    if "new_site" in signature(scene).parameters:
        scene(new_site)
        return
    site = new_site()
    site.start_service()
    scene(site)


def test_there_is_no_listener_but_the_operators_and_nothing_is_subscribed(site: Site) -> None:
    call = site.dial(2)
    site.until_teams(2, BUSY)
    site.hang_up(call)
    site.until_teams(2, FREE)
    assert site.service.process is not None
    assert listening(site.service.process.pid) == {site.ports["page"]}
    assert not any("/subscriptions" in one["path"] for one in site.ask_graph("GET", "/requests"))
    assert "webhook" not in site.service.log


def listening(process: int) -> set[int]:
    """The TCP ports that a process listens on, as Linux tells it."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            address, state, inode = words[1], words[3], words[9]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                found.add(int(address.rpartition(":")[2], 16))
    return found
