"""What the doctor makes of what it sees, where no emulator can be brought to show it."""

import datetime as dt
import json
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from bent_certificates import of_no_version
from doctor_kit import bench, first_bad, of, self_signed

from presencebridge.doctor import examination, findings, machine, microsoft, network, phones, service
from presencebridge.doctor.examination import Probe
from presencebridge.doctor.faults import Fault
from presencebridge.doctor.findings import State, Verdict, fine, wrong
from presencebridge.doctor.network import Target, names_in
from presencebridge.errors import LinkError, Refused, TryAgain
from presencebridge.pbx import v20
from presencebridge.runtime.matching import Left, Matching, Reason
from presencebridge.serving import Listener

NOW = 1_800_000_000.0
DAY = 86_400


def seen(verdict: Verdict) -> tuple[State, Fault | None]:
    return verdict.state, verdict.fault


# Telling ------------------------------------------------------------------------------------------


def test_a_cure_holds_what_was_found() -> None:
    told = findings.finding(
        "3CX", wrong(Fault.NOT_MONITORED, "103", client="teamsync", who="103"), "site.toml"
    )
    assert told.cure == "3CX > Integrations > API > teamsync: extensions to monitor > add 103"
    assert findings.line(told) == f"BAD   3CX: 103\n        cure: {told.cure}"
    assert findings.exit_status([told]) == 1
    assert findings.summary([told]) == "0 fine, 1 wrong; begin with 3CX"
    assert findings.exit_status([findings.finding("x", fine("y"), "")]) == 0


def test_a_long_list_is_cut() -> None:
    assert findings.listed(["1", "2", "3", "4", "5"]) == "1, 2, 3, 4, 5"
    assert findings.listed([str(number) for number in range(900)], 2) == "0, 1 and 898 more"


# Clocks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "state", "fault"),
    [
        ({}, State.NOT_TRIED, None),
        ({"Entra": 2.0, "3CX": -3.0}, State.FINE, None),
        ({"Entra": 300.0, "3CX": 300.0}, State.WRONG, Fault.CLOCK_WRONG),
        ({"Entra": -300.0}, State.WRONG, Fault.CLOCK_WRONG),
        ({"Entra": 60.0}, State.WARNING, Fault.CLOCK_DRIFTS),
        ({"Entra": 1.0, "3CX": 900.0}, State.WARNING, Fault.CLOCK_OF_3CX),
        ({"3CX": 900.0}, State.WARNING, Fault.CLOCK_DRIFTS),
    ],
)
def test_microsofts_clock_is_the_one_to_go_by(
    ahead: dict[str, float], state: State, fault: Fault | None
) -> None:
    assert seen(network.clock_verdict(ahead)) == (state, fault)


def test_it_is_said_in_which_direction_a_clock_is_off() -> None:
    assert "5 minutes behind Microsoft" in network.clock_verdict({"Entra": 300.0}).what
    assert "5 minutes ahead of Microsoft" in network.clock_verdict({"Entra": -300.0}).what


# Days that are left -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "state", "fault"),
    [
        (31, State.FINE, None),
        (29.5, State.WARNING, Fault.APP_CERTIFICATE_ENDS_SOON),
        (0, State.WRONG, Fault.APP_CERTIFICATE_ENDED),
    ],
)
def test_a_certificates_end_is_told_30_days_ahead(days: float, state: State, fault: Fault | None) -> None:
    ends = dt.datetime.fromtimestamp(NOW + days * DAY, dt.UTC)
    found = machine.certificate_verdict(Path("app.pem"), ends - dt.timedelta(900), ends, NOW, "init")
    assert seen(found) == (state, fault)


def at(days: float) -> str:
    return dt.datetime.fromtimestamp(NOW + days * DAY, dt.UTC).isoformat()


@pytest.mark.parametrize(
    ("told", "state", "fault"),
    [
        ({"LicenseActive": True, "ExpirationDate": at(100)}, State.FINE, None),
        ({"LicenseActive": True, "ExpirationDate": None}, State.FINE, None),
        ({"LicenseActive": True, "ExpirationDate": at(3)}, State.WARNING, Fault.LICENCE_ENDS_SOON),
        ({"LicenseActive": True, "ExpirationDate": at(-3)}, State.WRONG, Fault.LICENCE_ENDED),
        ({"LicenseActive": False, "ExpirationDate": at(100)}, State.WRONG, Fault.LICENCE_ENDED),
    ],
)
def test_the_licence_of_the_pbx(told: dict[str, Any], state: State, fault: Fault | None) -> None:
    licence = v20.parse_licence(json.dumps(told).encode())
    assert seen(phones.licence_verdict(licence, NOW)) == (state, fault)


# Entra's refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (
            Refused("invalid_client AADSTS7000222: The provided client secret keys are expired."),
            Fault.SECRET_ENDED,
        ),
        (Refused("unauthorized_client AADSTS7000112: Application is disabled."), Fault.APP_DISABLED),
        (Refused("invalid_client AADSTS700024: not within its valid time range."), Fault.CLOCK_WRONG),
        (Refused("invalid_grant AADSTS53003: Access has been blocked."), Fault.SIGN_IN_REFUSED),
        (Refused("Entra's sign-in can't be used", cure="check tenant_id"), Fault.TENANT_UNKNOWN),
        (TryAgain("temporarily_unavailable"), Fault.SIGN_IN_FAILS),
    ],
)
def test_entras_refusals_are_told_apart_by_their_numbers(error: LinkError, fault: Fault) -> None:
    teams = SimpleNamespace(client_secret_file=Path("secret"), certificate_file=None)
    site: Any = SimpleNamespace(config=SimpleNamespace(teams=teams))
    assert microsoft.sign_in_verdict(site, error).fault is fault


# Subscriptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lives", "runs", "state", "fault"),
    [
        ({}, False, State.FINE, None),
        ({}, True, State.WRONG, Fault.NO_SUBSCRIPTION),
        ({"ours": 3000.0}, True, State.FINE, None),
        ({"ours": 200.0}, True, State.WARNING, Fault.SUBSCRIPTION_ENDS_SOON),
        ({"theirs": 3000.0}, False, State.WARNING, Fault.SUBSCRIPTION_ELSEWHERE),
        ({"theirs": 3000.0}, True, State.WRONG, Fault.SUBSCRIPTION_ELSEWHERE),
    ],
)
def test_what_an_account_is_subscribed_to(
    lives: dict[str, float], runs: bool, state: State, fault: Fault | None
) -> None:
    assert seen(microsoft.subscription_verdict("default", "ours", lives, runs=runs)) == (state, fault)


# Matching -----------------------------------------------------------------------------------------


def test_who_is_left_out_on_purpose_is_no_trouble_and_doubles_are_told_first() -> None:
    excluded = Left("100", "Reception", "", Reason.EXCLUDED)
    unknown = Left("101", "Ann", "ann@example.org", Reason.UNKNOWN)
    double = Left("102", "Bob", "bob@example.org", Reason.SHARED, ("103",))
    served = SimpleNamespace(user="id", excluded=False)
    some = Matching((served,), (excluded,))  # type: ignore[arg-type]
    assert phones.matching_verdict(some).state is State.FINE
    more = phones.matching_verdict(Matching((served,), (excluded, unknown, double)))  # type: ignore[arg-type]
    assert seen(more) == (State.WARNING, Fault.PEOPLE_UNMATCHED)
    assert "2 not (1 double); such as 102 Bob" in more.what
    assert phones.matching_verdict(Matching((), (unknown,))).fault is Fault.NOBODY_MATCHED


# The running service ------------------------------------------------------------------------------


def running(overview: dict[str, Any], heard: dict[str, float] | None = None) -> Any:
    teams = SimpleNamespace(reconcile_every_s=300)
    return SimpleNamespace(service=overview, heard=heard or {}, config=SimpleNamespace(teams=teams))


def link(state: str) -> dict[str, str]:
    return {"name": "graph", "state": state, "reason": "because", "cure": "do something"}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("connected", State.FINE),
        ("starting", State.FINE),
        ("degraded", State.WARNING),
        ("refused", State.WRONG),
        ("down", State.WRONG),
    ],
)
async def test_the_services_own_links(state: str, expected: State) -> None:
    found = await service.links(running({"links": [link(state)]}))
    assert found.state is expected
    assert expected is State.FINE or found.words == {"link_cure": "do something"}


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ({}, State.NOT_TRIED),
        ({"3cx": 2.0, "teams_read": 5.0, "teams_notification": 90_000.0}, State.FINE),
        ({"3cx": 2.0, "teams_read": 700.0}, State.WRONG),
    ],
)
async def test_the_time_since_the_last_event(heard: dict[str, float], expected: State) -> None:
    found = await service.last_event(running({}, heard))
    assert seen(found) == (expected, Fault.NOTHING_HEARD if expected is State.WRONG else None)


async def test_who_is_in_trouble_by_the_services_word() -> None:
    people = [
        {"extension": "101", "condition": "in step", "trouble": []},
        {"extension": "102", "condition": "trouble", "trouble": ["not found"]},
    ]
    found = await service.people(running({"people": people}))
    assert seen(found) == (State.WARNING, Fault.PEOPLE_IN_TROUBLE)
    assert found.words == {"who": "102"}
    assert (await service.people(running({"people": people[:1]}))).state is State.FINE


@pytest.mark.parametrize(
    ("alive", "status", "fault"),
    [
        (b"ok\n", 200, None),
        (b"no progress\n", 503, Fault.SERVICE_STUCK),
        (b"ok\n", 401, Fault.OPERATOR_REFUSES),
    ],
)
async def test_a_service_that_is_stuck_or_does_not_know_us(
    alive: bytes, status: int, fault: Fault | None, tmp_path: Path
) -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        is_alive = scope["path"] == "/livez"
        text = alive if is_alive else b'{"links": [], "people": []}'
        code = 503 if is_alive and alive != b"ok\n" else 200 if is_alive else status
        await send({"type": "http.response.start", "status": code, "headers": []})
        await send({"type": "http.response.body", "body": text})

    async with bench(tmp_path, "3cx-web-api") as made, Listener(app) as listener:
        made.change("operator", listen=f"127.0.0.1:{listener.port}")
        found = of(await made.examine(), "service")
        assert found.fault == (fault.word if fault else "")


@pytest.mark.parametrize(
    ("trouble", "fault", "told"),
    [
        ("", "", "runs; this site runs on node2"),
        ("the cluster key does not fit", Fault.NODE_APART.word, "the cluster key does not fit"),
    ],
)
async def test_a_site_that_runs_on_another_node(trouble: str, fault: str, told: str, tmp_path: Path) -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        known = scope["path"] == "/api/sites"
        body = {"cluster": {"trouble": trouble, "nodes": [], "elsewhere": {"site": "node2"}}}
        await send({"type": "http.response.start", "status": 200 if known else 404, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body if known else {}).encode()})

    async with bench(tmp_path, "3cx-web-api") as made, Listener(app) as listener:
        made.change("operator", listen=f"127.0.0.1:{listener.port}")
        found = of(await made.examine(), "service")
        assert found.fault == fault
        assert told in found.what


# What no probe reckoned with ----------------------------------------------------------------------


async def test_a_probe_that_trips_says_so_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trips() -> Verdict:
        raise OSError("the ground is gone")

    async with bench(tmp_path, "3cx-web-api") as made:
        probes = [Probe("one", trips), Probe("two", trips, ("one",))]

        async def two(*_: Any) -> list[Probe]:
            return probes

        monkeypatch.setattr(examination, "_probes", two)
        found = await made.examine()
        assert [one.fault for one in found] == ["probe-fails", ""]
        assert found[1].what == "because of one"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (httpx2.ReadTimeout("slow"), Fault.NO_ANSWER),
        (TimeoutError(), Fault.NO_ANSWER),
        (httpx2.ProxyError("407"), Fault.PROXY_REFUSES),
        (OSError(113, "No route to host"), Fault.NO_ANSWER),
    ],
)
async def test_what_the_client_says_of_the_way(error: Exception, fault: Fault) -> None:
    target = Target("3CX", "https://pbx.example.org:5001", None, "[pbx]", "url")
    found = await network.unanswered(target, error)
    assert found.fault is fault
    assert "{" not in fault.value.format(config="x", **found.words)


@pytest.mark.parametrize(
    ("faults", "probe", "fault"),
    [
        ({"status": {"code": 500, "path": "/callcontrol"}}, "3CX call control", "pbx-fails"),
        ({"status": {"code": 500, "path": "/xapi/v1/ActiveCalls"}}, "3CX active calls", "pbx-fails"),
        ({"hang": {"path": "/connect/token"}}, "3CX token", "pbx-fails"),
        ({"forbidden": ["Microsoft365Integration", "SystemStatus"]}, "3CX own sync", ""),
    ],
)
async def test_a_pbx_that_is_out_of_order(
    faults: dict[str, Any], probe: str, fault: str, tmp_path: Path
) -> None:
    async with bench(tmp_path, "3cx-v20") as made:
        await made.play_pbx("POST", "/faults", faults)
        found = await made.examine()
        assert of(found, probe).fault == fault
        assert (first_bad(found) is None) == (fault == "")


async def test_a_change_that_fails_otherwise_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path, "3cx-v20") as made:
        await made.play_pbx("PUT", "/extensions/101", {"status": "Away"})
        await made.play_pbx("PUT", "/extensions/102", {"status": "Away"})
        await made.play_pbx("PUT", "/extensions/103", {"status": "Away"})
        await made.play_pbx("POST", "/faults", {"patch_profile": "error"})
        found = await made.examine(status_of="101")
        assert of(found, "right to set a status").state is State.NOT_TRIED
        assert of(found, "write test").fault == "status-write-fails"


async def test_nobody_at_all_on_the_pbx_is_not_believed(tmp_path: Path) -> None:
    async with bench(tmp_path, "3cx-v20", lambda made: setattr(made, "extensions", ())) as made:
        assert of(await made.examine(), "3CX users").fault == "list-empty"


def test_a_servers_certificate_that_nobody_can_read_has_no_name(tmp_path: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(self_signed(tmp_path, days=20))
    for odd in (of_no_version(der), der[:-40], b""):
        assert names_in(odd) == "another name"
