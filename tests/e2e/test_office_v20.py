"""The same office on 3CX V20, over its official APIs."""

import json
from collections.abc import Callable, Iterator

import httpx2
import pytest

from conftest import FREE, Program, Site, free_port, until

BUSY = "Busy/InACall"


@pytest.fixture
def v20(new_site: Callable[..., Site]) -> Iterator[Site]:
    """A site whose PBX is V20; its service does not run yet."""
    site = new_site()
    port, control = free_port(), free_port()
    world = json.loads((site.worlds.folder / "world.json").read_text())
    world |= {"pbx_client_id": "bridge", "pbx_client_secret": "k3y", "monitored": ["101", "102"]}
    (site.folder / "v20.json").write_text(json.dumps(world))
    (site.folder / "key").touch(0o600)
    (site.folder / "key").write_text("k3y\n")
    pbx = Program(
        site.folder / "v20.log",
        *("emulate", "3cx-v20", "--port", str(port), "--control-port", str(control)),
        *("--world", str(site.folder / "v20.json"), "--tls-dir", str(site.folder / "v20-tls")),
    )
    http = httpx2.Client(base_url=f"http://127.0.0.1:{control}", trust_env=False, timeout=10)

    def ask(method: str, path: str, body: object = None) -> object:
        content = None if method in ("GET", "DELETE") else json.dumps(body)
        answer = http.request(method, path, content=content, headers={"Content-Type": "application/json"})
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    pbx.start()
    try:
        until("the PBX listens", lambda: http.get("/requests").is_success)
        text = site.config.read_text()
        old = f'kind = "3cx-web-api"\n            url = "http://127.0.0.1:{site.worlds.ports["pbx"]}"'
        assert old in text
        new = f"""kind = "3cx-v20"
            url = "https://127.0.0.1:{port}"
            ca_file = "v20-tls/ca.pem"
            client_id = "bridge"
            client_secret_file = "key" """
        site.config.write_text(text.replace(old, new))
        site.ask_pbx = ask
        site.calls_asked, site.status_asked = "/callcontrol", "Number eq '{}'"
        yield site
    finally:
        pbx.close()
        http.close()


def test_meetings_and_calls_on_v20(v20: Site) -> None:
    v20.start_service()
    v20.client(1, "Busy/InAMeeting")
    v20.until_status(1, "Away")
    v20.client(1, FREE)
    v20.until_status(1, "Available")
    first = v20.dial(1, "Ringing")
    v20.until_at_rest()
    assert v20.teams(1) == FREE
    v20.leg(first, 1, "Connected")
    v20.until_teams(1, BUSY)
    second = v20.dial(1)
    v20.leg(first, 1, "Hold")
    v20.hang_up(second)
    v20.until_at_rest()
    assert v20.teams(1) == BUSY
    assert v20.status(1) == "Available", "the echo made the phone Away"
    v20.hang_up(first)
    v20.until_teams(1, FREE)
    assert v20.sessions(1) == ["client"]


def test_a_status_set_by_hand_on_v20_is_left_alone(v20: Site) -> None:
    v20.start_service()
    v20.client(1, "DoNotDisturb/DoNotDisturb")
    v20.until_status(1, "Away")
    v20.set_by_hand(1, "Available")
    until("our claim is gone", lambda: v20.holding(1) == "nothing")
    v20.client(1, FREE)
    v20.until_at_rest()
    assert v20.status(1) == "Available"


def test_a_change_that_3cx_accepts_and_ignores_is_told_and_tried_again(v20: Site) -> None:
    v20.ask_pbx("POST", "/faults", {"patch_profile": "ignored"})
    v20.start_service()
    v20.client(1, "Busy/InAMeeting")
    until(
        "the page says what is wrong",
        lambda: (
            "3CX accepted the change but still shows Available"
            in " ".join(v20.page("/api/people/101").json()["person"]["trouble"])
        ),
    )
    assert 'presencebridge_writes_total{outcome="ignored",side="3cx"}' in v20.page("/metrics").text
    v20.ask_pbx("DELETE", "/faults")
    v20.until_status(1, "Away")


def test_an_extension_that_is_not_monitored_is_told_with_its_cure(v20: Site) -> None:
    extra = '[[person]]\nteams = "user3@example.org"\nextension = "103"\n'
    v20.config.write_text(v20.config.read_text() + extra)
    v20.start_service()
    until(
        "the page says what is wrong",
        lambda: "extensions to monitor" in " ".join(v20.page("/api/people/103").json()["person"]["trouble"]),
    )
    v20.client(3, "Busy/InAMeeting")
    v20.until_status(3, "Away")


def test_v20_by_hand_and_a_wrong_key(v20: Site) -> None:
    assert v20.command("pbx", "get", "101").stdout == "Available\n"
    assert v20.command("pbx", "set", "101", "oof").stdout == "101: Out of office\n"
    assert v20.status(1) == "Out of office"
    v20.dial(1)
    assert v20.command("pbx", "calls").stdout == "101  Connected\n"
    assert "3CX has no such user" in v20.command("pbx", "get", "999").stderr
    (v20.folder / "key").write_text("wrong")
    said = v20.command("pbx", "get", "101")
    assert said.returncode == 1
    assert "[pbx] client_id" in said.stderr
    assert "wrong" not in said.stderr
    assert not any("AuthPassword" in json.dumps(one) for one in v20.ask_pbx("GET", "/requests"))
