"""A whole site as a user has it: emulators and service as programs, played by the control ports."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from e2e_programs import Emulator, held, nursery
from e2e_sites import WEB_API, PbxKind, Site, Worlds, world_of


@pytest.fixture(scope="session", autouse=True)
def _all_given_back() -> Iterator[None]:
    """Ports, and the process that programs come from."""
    yield
    nursery.close()
    for port in held:
        port.close()


class _Shared(NamedTuple):
    """What all tests of a session share."""

    graph: Emulator
    state: Path
    """What the watcher's sign-in left on the disk."""
    pbx_of: Callable[[str], Emulator]


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Shared]:
    """The emulators; each PBX is started when the first test wants it."""
    folder = tmp_path_factory.mktemp("worlds")
    graph = Emulator("graph", folder, world_of(3), tls=True)
    pbxs = {
        kind: Emulator(kind, folder, world_of(3), tls=kind == "3cx-v20")
        for kind in ("3cx-web-api", "3cx-v20")
    }
    with contextlib.ExitStack() as stack:
        for emulator in (graph, *pbxs.values()):
            stack.callback(emulator.close)

        def pbx_of(kind: str) -> Emulator:
            if not pbxs[kind].runs:  # not yet, or no more
                pbxs[kind].start()
            return pbxs[kind]

        graph.start()
        site = Site(Worlds(graph, pbxs["3cx-web-api"], WEB_API), folder)
        stack.callback(site.close)
        site.sign_in()
        for kept in (folder / "state").glob("watcher-*.json"):
            # Hours pass between two tests, so this token would only be refused each time.
            kept.write_text(json.dumps(json.loads(kept.read_text()) | {"AccessToken": {}}))
        yield _Shared(graph, folder / "state", pbx_of)


@pytest.fixture
def pbx_kind() -> PbxKind:
    """The one that a test runs on if it does not say `on`."""
    return WEB_API


@pytest.fixture
def new_site(_shared: _Shared, pbx_kind: PbxKind, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Sites in tidy worlds, whose watcher is signed in, and whose service does not run yet."""
    worlds = Worlds(_shared.graph, _shared.pbx_of(pbx_kind.emulator), pbx_kind)
    worlds.tidy()
    with contextlib.ExitStack() as stack:

        def make(**words: Any) -> Site:
            site = Site(worlds, tmp_path, **words)
            stack.callback(site.close)
            shutil.copytree(_shared.state, tmp_path / "state")
            return site

        yield make


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """A site that is up and running."""
    made = new_site()
    made.start_service()
    return made
