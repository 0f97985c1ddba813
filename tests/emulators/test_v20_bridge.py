"""3cx-web-API beside a V20: both show, and set, the same statuses."""

import httpx2
import pytest

from presencebridge.emulators.v20 import RunningV20
from presencebridge.emulators.v20.bridge import bridge_of
from presencebridge.emulators.world import Extension, World

WORLD = World(client_id="c", client_secret="s", extensions=(Extension("101", "Ann"), Extension("102", "Bob")))


@pytest.fixture
async def both():
    async with (
        RunningV20(WORLD) as v20,
        bridge_of(v20.emulator.pbx, 0) as bridge,
        httpx2.AsyncClient(base_url=bridge.url) as web_api,
        httpx2.AsyncClient(base_url=v20.control_url) as control,
    ):
        yield web_api, control


async def test_what_is_set_on_one_shows_on_the_other(both):
    web_api, control = both
    assert (await web_api.get("/setstatus/101/away")).text == "Away"
    assert (await control.get("/extensions/101")).json()["status"] == "Away"
    assert (await control.get("/extensions/102")).json()["status"] == "Available"
    await control.put("/extensions/102", json={"status": "Custom 1"})
    assert "CURRENT_STATUS=Custom 1" in (await web_api.get("/showstatus/102")).text
    assert "CURRENT_STATUS=Away" in (await web_api.get("/showstatus/101")).text


async def test_the_bridge_sets_it_although_the_xapi_ignores_changes(both):
    web_api, control = both
    await control.post("/faults", json={"patch_profile": "ignored"})
    await web_api.get("/setstatus/101/oof")
    assert (await control.get("/extensions/101")).json()["status"] == "Out of office"


async def test_extensions_come_and_go_with_those_of_the_v20(both):
    web_api, control = both
    await control.put("/extensions", json=[{"number": "103", "name": "Cem"}])
    assert "CURRENT_STATUS=Available" in (await web_api.get("/showstatus/103")).text
    with pytest.raises(httpx2.ReadTimeout):  # as for every extension that is not there
        await web_api.get("/showstatus/101", timeout=0.3)
