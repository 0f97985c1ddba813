"""A folder of sites: each for itself, coming, changing and going while the others do not notice."""

import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace

import httpx2
import pytest
import structlog
from folder_kit import found, offices, running, until

from presencebridge import log
from presencebridge.node import site as site_module


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("presencebridge.node.node._LOOK_EVERY_S", 0.1)


async def test_each_site_keeps_its_own_people_in_step_and_is_told_apart_everywhere(tmp_path):
    async with offices(tmp_path, "berlin", "bonn") as (berlin, bonn), running(tmp_path) as node:
        await node.in_step("berlin", "bonn")
        await berlin.shows("100", "Busy/InAMeeting")
        await berlin.becomes("100", "Away")
        assert await bonn.status("100") == "Available"

        sites = found(await node.ask("/api/sites"))
        assert [one["name"] for one in sites["sites"]] == ["berlin", "bonn"]
        page = (await node.ask("/")).text
        assert 'href="sites/berlin/"' in page
        assert (await node.ask("/sites/berlin")).headers["location"] == "berlin/"
        assert "0 of berlin" in (await node.ask("/sites/berlin/")).text
        assert "0 of bonn" not in (await node.ask("/sites/berlin/")).text
        person = found(await node.ask("/sites/berlin/api/people/100"))
        assert person["person"]["status_claim"]["value"] == "Away"
        assert found(await node.ask("/sites/bonn/api/people/100"))["person"]["status_claim"] is None
        metrics = (await node.ask("/metrics")).text
        assert 'presencebridge_in_step{site="berlin"} 1.0' in metrics
        assert 'presencebridge_in_step{site="bonn"} 1.0' in metrics
        assert "name one" in found(await node.ask("/api/people"))["error"]
        assert (await node.ask("/sites/nowhere/")).status_code == 404
        assert {file.name for file in (tmp_path / "state").iterdir()} == {"berlin", "bonn"}


async def test_a_file_that_can_not_be_used_keeps_nobody_else_from_starting_until_it_is_mended(
    tmp_path,
):
    async with offices(tmp_path, "berlin", "bonn") as (berlin, _bonn):
        berlin.file.write_text("[teams")
        async with running(tmp_path) as node:
            await node.in_step("bonn")
            assert "not TOML" in (await node.ask("/sites/berlin/")).text
            assert "not TOML" in found(await node.ask("/api/sites"))["sites"][0]["text"]
            assert 'presencebridge_config_refused{site="berlin"} 1.0' in (await node.ask("/metrics")).text
            assert (await node.ask("/readyz")).status_code == 200
            berlin.write()
            await node.in_step("berlin")
            assert 'presencebridge_config_refused{site="berlin"} 0.0' in (await node.ask("/metrics")).text


async def test_sites_come_and_go_and_who_goes_gets_back_what_is_held(tmp_path):
    async with offices(tmp_path, "berlin", "bonn") as (_berlin, bonn):
        text = bonn.file.read_text()
        bonn.file.unlink()
        async with running(tmp_path) as node:
            await node.in_step("berlin")
            before = node.node.sites()["berlin"]
            bonn.file.write_text(text)
            await node.in_step("bonn")
            await bonn.shows("100", "Busy/InAMeeting")
            await bonn.becomes("100", "Away")
            bonn.file.unlink()
            await until(lambda: "bonn" not in node.node.sites())
            assert await bonn.status("100") == "Available"
            assert node.node.sites()["berlin"] is before
            assert (await node.ask("/sites/bonn/")).status_code == 404


async def test_people_and_rules_change_in_place_and_who_is_taken_out_gets_back_what_is_held(tmp_path):
    async with offices(tmp_path, "berlin", people=4) as (berlin,), running(tmp_path) as node:
        await node.in_step("berlin")
        before = node.node.sites()["berlin"]
        for extension in ("100", "102"):
            await berlin.shows(extension, "Busy/InAMeeting")
            await berlin.becomes(extension, "Away")
        berlin.write("100", "101", "103")
        await berlin.becomes("102", "Available")
        assert await berlin.status("100") == "Away"
        berlin.write("100", "101", "102", "103", policy='direction = "3cx-to-teams"')
        await berlin.becomes("100", "Available")
        await until(lambda: before.person("102"))
        assert node.node.sites()["berlin"] is before, "nothing of this needs a new life"
        berlin.write("100", "101", more='[people]\nexclude = ["100"]')
        await until(lambda: (page := before.person("100")) and page.person.condition == "excluded")
        assert before.person("102") is None


async def test_addresses_and_keys_make_the_site_begin_anew_and_what_is_held_stays_held(tmp_path):
    async with offices(tmp_path, "berlin", "bonn") as (berlin, _bonn), running(tmp_path) as node:
        await node.in_step("berlin", "bonn")
        await berlin.shows("100", "Busy/InAMeeting")
        await berlin.becomes("100", "Away")
        before = dict(node.node.sites())
        berlin.file.write_text(berlin.file.read_text().replace("[pbx]", "[pbx]\ntimeout_s = 4"))
        await until(lambda: node.node.sites()["berlin"] is not before["berlin"])
        await node.in_step("berlin")
        assert await berlin.status("100") == "Away"
        await berlin.shows("100", "Available/Available")
        await berlin.becomes("100", "Available")
        assert node.node.sites()["bonn"] is before["bonn"]


async def test_a_change_that_can_not_be_used_is_told_and_the_config_before_goes_on(tmp_path):
    async with offices(tmp_path, "berlin") as (berlin,), running(tmp_path) as node:
        await node.in_step("berlin")
        berlin.write(policy='preset = "sed"')
        await until(lambda: any(one.name == "config" for one in node.node.sites()["berlin"].overview().links))
        (link,) = [one for one in node.node.sites()["berlin"].overview().links if one.name == "config"]
        assert link.state == "degraded"
        assert "[policy] preset" in link.reason
        assert 'presencebridge_config_refused{site="berlin"} 1.0' in (await node.ask("/metrics")).text
        await berlin.shows("100", "Busy/InAMeeting")
        await berlin.becomes("100", "Away")
        berlin.write()
        await until(lambda: node.node.sites()["berlin"].overview().links[-1].state == "connected")


async def test_a_fault_inside_one_site_ends_that_site_only_and_it_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("presencebridge.node.keeper._FIRST_REST_S", 0.05)
    async with offices(tmp_path, "berlin", "bonn") as (berlin, _bonn), running(tmp_path) as node:
        await node.in_step("berlin", "bonn")
        before = dict(node.node.sites())

        def broken(*_: object) -> None:
            raise RuntimeError("a fault put in by the test")

        assert isinstance(before["berlin"], site_module.Site)
        before["berlin"].hub.seen = broken  # type: ignore[method-assign]
        before["berlin"]._reader.on_seen = broken
        await berlin.shows("100", "Busy/InAMeeting")
        await until(lambda: node.node.sites()["berlin"] is not before["berlin"])
        await node.in_step("berlin")
        await berlin.becomes("100", "Away")
        assert node.node.sites()["bonn"] is before["bonn"]
        assert 'presencebridge_site_failures_total{site="berlin"} 1.0' in (await node.ask("/metrics")).text


async def test_the_list_of_sites_tells_by_itself_what_changes_and_ends_with_the_service(tmp_path):
    async with offices(tmp_path, "berlin", "bonn"), running(tmp_path) as node:
        await node.in_step("berlin", "bonn")
        async with node.told("/live?lang=en") as event:
            while "not in step" in await event():  # as it was when it was first looked at
                pass
            assert (await node.http.post("/sites/bonn/api/people/101/pause", json={})).is_success
            row = (await event()).partition("sites/bonn/")[2]
            assert re.findall(r'class="x">(\d+)<', row)[-1] == "1", "one is paused in Bonn"
            node.node.sites()["bonn"].journal.close()
            node.node.sites()["berlin"].journal.close()
            assert await event() == "", "nobody waits for who looks on"


async def test_an_operator_of_some_sites_sees_nothing_of_the_others(tmp_path):
    for name, token in (("all", "0123456789abcdef-all"), ("bonn", "0123456789abcdef-bonn")):
        (tmp_path / f"{name}.token").write_text(token)
    async with offices(tmp_path, "berlin", "bonn"):
        (tmp_path / "node.toml").write_text(
            """
            [operator]
            listen = "127.0.0.1:0"
            token_file = "all.token"
            [[operator.access]]
            token_file = "bonn.token"
            sites = ["bonn", "paris"]
            [webhook]
            listen = "127.0.0.1:0"
            [state]
            dir = "state"
            """
        )
        async with running(tmp_path) as node:
            await node.in_step("berlin", "bonn")
            limited = "0123456789abcdef-bonn"
            assert [one["name"] for one in found(await node.ask("/api/sites", limited))["sites"]] == ["bonn"]
            for path in ("/", "/metrics", "/readyz", "/livez", "/sites/bonn/"):
                answer = await node.ask(path, limited)
                assert answer.status_code == 200
                assert "berlin" not in answer.text
            async with node.told("/live", limited) as event:
                told = await event()
                assert "bonn" in told
                assert "berlin" not in told
            hidden, missing = [
                await node.ask(f"/sites/{one}/api/people", limited) for one in ("berlin", "paris")
            ]
            assert (hidden.status_code, hidden.text, hidden.headers.keys()) == (
                missing.status_code,
                missing.text,
                missing.headers.keys(),
            )
            assert (await node.ask("/sites/berlin/", "0123456789abcdef-all")).status_code == 200
            assert (await node.ask("/api/sites", "0123456789abcdef-other")).status_code == 401
            assert (await node.ask("/api/sites")).status_code == 401
            (tmp_path / "bonn.token").write_text("0123456789abcdef-new")
            node.node.reload()

            async def is_new() -> bool:
                return (await node.ask("/api/sites", "0123456789abcdef-new")).status_code == 200

            await until(is_new)
            assert (await node.ask("/api/sites", limited)).status_code == 401


async def test_a_folder_without_sites_waits_for_the_first(tmp_path):
    async with offices(tmp_path, "berlin") as (berlin,):
        text = berlin.file.read_text()
        berlin.file.unlink()
        async with running(tmp_path) as node:
            assert found(await node.ask("/api/sites"))["sites"] == []
            assert (await node.ask("/readyz")).status_code == 503
            berlin.file.write_text(text)
            await node.in_step("berlin")


async def test_what_is_not_taken_in_at_the_door_is_counted_by_site_and_reason(tmp_path):
    async with offices(tmp_path, "berlin", "bonn"), running(tmp_path) as node:
        await node.in_step("berlin", "bonn")
        node.node._door.open_to({"/berlin": ["berlin"], "/bonn": ["bonn"]})
        door = httpx2.ASGITransport(app=node.node._door)
        async with httpx2.AsyncClient(transport=door, base_url="http://localhost") as sender:

            async def post(path: str, body: bytes) -> int:
                return (await sender.post(path, content=body)).status_code

            assert await post("/berlin", b"{}") == 503
            assert await post("/bonn", b"x" * 5_000_000) == 202
            node.node._keepers["bonn"].site._receiver = SimpleNamespace(offer=lambda _body: False)
            assert [await post("/bonn", b"{}") for _ in range(2)] == [503, 503]
        metrics = (await node.ask("/metrics")).text
        refused = "presencebridge_notifications_refused_total"
        assert sorted(line for line in metrics.splitlines() if line.startswith(refused)) == [
            f'{refused}{{reason="full",site="bonn"}} 2.0',
            f'{refused}{{reason="not_running",site="berlin"}} 1.0',
            f'{refused}{{reason="size",site="bonn"}} 1.0',
        ]
        assert 'presencebridge_node_takes_part{site="bonn"} 1.0' in metrics
        assert 'presencebridge_site_has_node{site="bonn"} 1.0' in metrics


async def test_who_may_see_one_site_is_told_of_no_other_at_the_door(tmp_path):
    (tmp_path / "bonn-token").write_text("b" * 20)
    (tmp_path / "all-token").write_text("a" * 20)
    async with offices(tmp_path, "berlin", "bonn"):
        text = (tmp_path / "node.toml").read_text()
        access = '[[operator.access]]\ntoken_file = "bonn-token"\nsites = ["bonn"]\n'
        text = text.replace("[webhook]", f'token_file = "all-token"\n{access}[webhook]')
        (tmp_path / "node.toml").write_text(text)
        for name in ("bonn-token", "all-token"):
            (tmp_path / name).chmod(0o600)
        async with running(tmp_path) as node:
            node.node._refused("berlin", "full")
            assert "berlin" not in (await node.ask("/metrics", "b" * 20)).text
            assert 'reason="full"' in (await node.ask("/metrics", "a" * 20)).text


@pytest.fixture
def logged() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("presencebridge")
    before = root.handlers, root.level, own.level
    log.set_up(terminal=False)
    log._recent.lines.clear()
    yield
    log._recent.lines.clear()
    root.handlers, root.level, own.level = before
    structlog.reset_defaults()


@pytest.mark.usefixtures("logged")
async def test_the_log_of_one_site_tells_who_may_see_only_that_of_no_other(tmp_path):
    everything, limited = "0123456789abcdef-all", "0123456789abcdef-bonn"
    async with offices(tmp_path, "berlin", "bonn"):
        text = (tmp_path / "node.toml").read_text()
        access = '[[operator.access]]\ntoken_file = "bonn.token"\nsites = ["bonn"]\n'
        text = text.replace("[webhook]", f'token_file = "all.token"\n{access}[webhook]')
        (tmp_path / "node.toml").write_text(text)
        for name, token in (("all", everything), ("bonn", limited)):
            (tmp_path / f"{name}.token").write_text(token)
        async with running(tmp_path) as node:
            await node.in_step("berlin", "bonn")
            structlog.get_logger("presencebridge.node").error("node", reason="berlin and bonn share a path")
            headers = {"Authorization": f"Bearer {everything}"}
            for site, person in (("berlin", "100"), ("bonn", "101")):
                url = f"/sites/{site}/api/people/{person}/pause"
                assert (await node.http.post(url, json={}, headers=headers)).is_success
            whole = found(await node.ask("/sites/bonn/api/log", everything))
            told = found(await node.ask("/sites/bonn/api/log", limited))
    assert told
    assert {line.get("site") for line in told} == {"bonn"}
    assert "berlin" not in str(told)
    assert [line["person"] for line in told if line["event"] == "operator"] == ["101"]
    assert "berlin and bonn share a path" in str(whole)
    assert [line["person"] for line in whole if line["event"] == "operator"] == ["101"]
