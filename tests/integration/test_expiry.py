"""What ends on a day of its own is told 30 days ahead, wherever somebody looks."""

import asyncio
import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest
import structlog
from bent_certificates import in_pem
from doctor_kit import bench, of, self_signed
from site_kit import LoopClock

from presencebridge.adapters import certificate_end
from presencebridge.config import Config, load
from presencebridge.doctor.findings import State
from presencebridge.errors import TryAgain
from presencebridge.runtime.expiry import DAY_S, Deadline, Expiry, in_words, of_config, soon
from presencebridge.serving import Listener

NOW = dt.datetime(2027, 2, 1, tzinfo=dt.UTC).timestamp()


def ends_in(days: float, kind: str = "client secret", **words: Any) -> Deadline:
    return Deadline(kind, "", NOW + days * DAY_S, "make another", **words)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (30.01, None),
        (29.99, "client secret ends in 29 days, on 2027-03-02"),
        (0.5, "client secret ends within a day, on 2027-02-01"),
        (-3, "client secret ended on 2027-01-29"),
    ],
)
def test_what_ends_is_told_30_days_ahead(days: float, words: str | None) -> None:
    told = soon([ends_in(days)], NOW)
    assert [one.what for one in told] == ([words] if words else [])


def test_the_nearest_is_told_first() -> None:
    told = soon([ends_in(20), ends_in(3), ends_in(10, soon_days=14), ends_in(15, soon_days=14)], NOW)
    assert [one.days for one in told] == [3, 10, 20]


SITE = """
[teams]
tenant_id = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
{credential}
delivery = "webhook"
ca_file = "ca.pem"
[teams.webhook]
public_url = "https://pbx.example.org/hook"
[pbx]
kind = "3cx-web-api"
url = "http://127.0.0.1:8889"
[[person]]
teams = "ann@example.org"
extension = "101"
[state]
dir = "state"
"""


def site(folder: Path, credential: str) -> Config:
    (folder / "site.toml").write_text(SITE.format(credential=credential))
    return load(folder / "site.toml")


def days_left(config: Config) -> dict[str, int]:
    now = dt.datetime.now(dt.UTC).timestamp()
    return {one.name: round((one.ends_at - now) / DAY_S) for one in of_config(config)}


def test_files_tell_when_they_end(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    self_signed(tmp_path, days=20)
    old, new = (self_signed(tmp_path, days=days, stem="x") for days in (5, 300))
    (tmp_path / "ca.pem").write_text(old + new)
    (tmp_path / "state" / "notification-key-a.pem").write_text(old)
    (tmp_path / "state" / "notification-key-b.pem").write_text(new)
    sign_in = tmp_path / "state" / "watcher-default.json"
    sign_in.write_text("{}")
    used = sign_in.stat().st_mtime - 80 * DAY_S
    os.utime(sign_in, (used, used))
    assert days_left(site(tmp_path, 'certificate_file = "app.pem"')) == {
        "app certificate app.pem": 20,
        "authority ca.pem": 300,
        "watcher sign-in default": 10,
        "notification key": 300,
    }


def test_a_certificate_of_an_unknown_version_ends_never(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    of_no_kind, of_no_version = in_pem(self_signed(tmp_path, days=20))
    (tmp_path / "ca.pem").write_text(of_no_kind)
    config = site(tmp_path, 'client_secret_file = "secret"')
    assert days_left(config) == {"authority ca.pem": 20}
    (tmp_path / "ca.pem").write_text(of_no_version)
    assert days_left(config) == {}


def test_a_secret_ends_when_the_config_says_so(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "ca.pem").write_text("not one")
    config = site(tmp_path, 'client_secret_file = "secret"\nclient_secret_expires = 2027-03-01')
    (told,) = of_config(config)
    assert in_words(told, NOW) == "client secret ends in 28 days, on 2027-03-01"


@pytest.mark.looptime
async def test_the_log_tells_once_a_day_and_what_others_said_last_is_kept(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "ca.pem").write_text("not one")
    clock = LoopClock()
    answers = [[Deadline("3CX licence", "", clock.wall() + 10 * DAY_S, "renew it")]]

    async def licence() -> list[Deadline]:
        if not answers:
            raise TryAgain("3CX did not answer")
        return answers.pop()

    expiry = Expiry(site(tmp_path, 'client_secret_file = "secret"'), clock, [licence])
    with structlog.testing.capture_logs() as lines:
        task = asyncio.get_running_loop().create_task(expiry.run())
        await asyncio.sleep(2.5 * DAY_S)
        task.cancel()
    assert [line["days"] for line in lines if line["event"] == "expiring"] == [10, 9, 8]
    assert [one.what.partition(" in ")[0] for one in expiry.warnings] == ["3CX licence ends"]


async def test_a_servers_certificate_tells_its_end(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(self_signed(tmp_path, stem="server", days=5))
    pem = tmp_path / "server.pem"

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    async with Listener(app, certificate=pem, key=pem) as server:
        url = f"https://localhost:{server.port}"
        ends = await certificate_end(url, tmp_path / "ca.pem")
        with pytest.raises(OSError, match="certificate verify failed"):
            await certificate_end(url, None)
    assert ends is not None
    assert round((ends - dt.datetime.now(dt.UTC).timestamp()) / DAY_S) == 5
    assert await certificate_end("http://127.0.0.1:1", None) is None


async def test_doctor_warns_of_the_day_that_the_config_names(tmp_path: Path) -> None:
    async with bench(tmp_path, "3cx-v20") as made:
        day = dt.datetime.now(dt.UTC).date() + dt.timedelta(10)
        text = made.written.read_text()
        made.written.write_text(text.replace("[teams]", f"[teams]\nclient_secret_expires = {day}", 1))
        found = await made.examine()
        assert (of(found, "app credential").state, of(found, "app credential").fault) == (
            State.WARNING,
            "secret-ends-soon",
        )
        assert of(found, "expiry").state is State.FINE


async def test_doctor_warns_of_a_server_whose_certificate_ends_within_two_weeks(tmp_path: Path) -> None:
    async with bench(tmp_path, "3cx-v20") as made:
        made.outside.certificates_end_in_days = 13.5
        found = of(await made.examine(), "expiry")
        assert (found.state, found.fault) == (State.WARNING, "expires-soon")
        assert "server certificate 127.0.0.1 ends in 13 days" in found.what
        assert "renew the certificate on 127.0.0.1" in found.cure
