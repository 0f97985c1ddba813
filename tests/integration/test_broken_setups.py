"""`doctor` on set-ups that are broken in one place: it names that place first, and its cure works."""
# ruff: noqa: S604 - cures are commands for a shell

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from doctor_kit import Bench, bench, first_bad, free_port, of, self_signed
from msgspec.structs import replace

from presencebridge.doctor import machine, microsoft
from presencebridge.doctor.account import Account
from presencebridge.doctor.faults import Fault
from presencebridge.doctor.findings import State
from presencebridge.emulators.webapi import RunningWebApi
from presencebridge.emulators.world import World
from presencebridge.serving import Listener
from presencebridge.web.webhook import Webhook

V20, WEB_API = "3cx-v20", "3cx-web-api"
PROGRAMS = Path(sys.executable).parent

Step = Callable[[Bench], Awaitable[None]]


@dataclass(frozen=True)
class Broken:
    """A set-up with one fault."""

    name: str
    fault: Fault
    breaks: Step
    cures: Step | None = None
    """What a person does who follows the cure; None where only the world outside can."""
    kind: str = V20
    prepare: Callable[[Bench], None] = lambda _bench: None
    state: State = State.WRONG
    wishes: dict[str, Any] = field(default_factory=dict)
    says: str = ""
    """What the cure has to hold."""


SETUPS: list[Broken] = []


def broken(fault: Fault, **words: Any) -> Callable[[Step], Step]:
    def add(step: Step) -> Step:
        name = step.__name__.strip("_").replace("_", " ")
        SETUPS.append(Broken(name, fault, step, **words))
        return step

    return add


async def nothing(_bench: Bench) -> None: ...


def set_back(section: str, **words: Any) -> Step:
    async def cure(bench: Bench) -> None:
        bench.change(section, **words)

    return cure


def of_graph(**faults: Any) -> Step:
    async def step(bench: Bench) -> None:
        await bench.play_graph("POST", "/faults", faults)

    return step


def of_pbx(**faults: Any) -> Step:
    async def step(bench: Bench) -> None:
        await bench.play_pbx("POST", "/faults", faults)

    return step


async def no_more_faults(bench: Bench) -> None:
    await bench.play_pbx("DELETE", "/faults")


async def run_the_cure(bench: Bench) -> None:
    """The command of the cure, as it is printed."""
    found = first_bad(await bench.examine())
    assert found is not None
    command = found.cure.partition("   ")[0]
    environment = {**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "LANG": "C"}
    await asyncio.to_thread(
        subprocess.run,
        command,
        shell=True,
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        cwd=bench.folder,
    )


# This machine -------------------------------------------------------------------------------------


@broken(Fault.ADVICE, cures=run_the_cure, state=State.WARNING, says="chmod 0600")
async def everybody_may_read_the_secret(bench: Bench) -> None:
    (bench.folder / "secret").chmod(0o644)


async def the_account_of_the_service(bench: Bench) -> None:
    """As if its own account were examined for."""
    bench.account = Account("presencebridge", os.geteuid(), frozenset())


@broken(Fault.KEPT_FROM_SERVICE, cures=the_account_of_the_service, says="/etc/presencebridge/secrets/")
async def root_examines_what_the_service_may_not_read(bench: Bench) -> None:
    bench.account = Account("presencebridge", os.geteuid() + 1, frozenset())


def with_certificate(bench: Bench, **words: Any) -> str:
    certificate = self_signed(bench.folder, **words)
    bench.change("teams", certificate_file="app.pem", client_secret_file=None)
    return certificate


async def register(bench: Bench) -> None:
    """What is uploaded in Entra: app.crt."""
    text = (bench.folder / "app.crt").read_text()
    await bench.play_graph("PUT", "/certificates", {"certificate": text})


async def new_certificate(bench: Bench) -> None:
    await run_the_cure(bench)
    await register(bench)


@broken(Fault.APP_CERTIFICATE_ENDED, cures=new_certificate, says="presencebridge init")
async def the_certificate_has_ended(bench: Bench) -> None:
    with_certificate(bench, since_days=-400, days=-1)


async def new_certificate_in_time(bench: Bench) -> None:
    shutil.move(bench.folder / "app.pem", bench.folder / "app.pem.old")
    await _init(bench)
    await register(bench)


async def _init(bench: Bench) -> None:
    command = [str(PROGRAMS / "presencebridge"), "init", "--output", str(bench.written), "--yes"]
    await asyncio.to_thread(
        subprocess.run, command, check=True, stdin=subprocess.DEVNULL, capture_output=True
    )


@broken(
    Fault.APP_CERTIFICATE_ENDS_SOON,
    cures=new_certificate_in_time,
    state=State.WARNING,
    says="restart the service",
)
async def the_certificate_ends_in_a_week(bench: Bench) -> None:
    certificate = with_certificate(bench, days=7)
    await bench.play_graph("PUT", "/certificates", {"certificate": certificate})


@broken(Fault.APP_CERTIFICATE_NOT_YET)
async def the_certificate_is_of_tomorrow(bench: Bench) -> None:
    with_certificate(bench, since_days=1)


async def upload(bench: Bench) -> None:
    await _init(bench)  # makes app.crt of the key that is there
    await register(bench)


@broken(Fault.CERTIFICATE_UNREGISTERED, cures=upload, says="app.crt")
async def the_certificate_was_not_uploaded(bench: Bench) -> None:
    with_certificate(bench)


@broken(Fault.CREDENTIAL_UNUSABLE, says="private key")
async def the_key_is_that_of_another_certificate(bench: Bench) -> None:
    with_certificate(bench)
    key = (bench.folder / "app.pem").read_text().partition("-----BEGIN CERTIFICATE")[0]
    (bench.folder / "app.pem").write_text(key + self_signed(bench.folder, stem="other"))


async def another_folder(bench: Bench) -> None:
    bench.change("state", dir="elsewhere")


@broken(Fault.STATE_FOLDER_UNUSABLE, cures=another_folder, says="[state] dir")
async def the_state_folder_is_a_file(bench: Bench) -> None:
    (bench.folder / "state").write_text("")


async def another_port(bench: Bench) -> None:
    bench.change("operator", listen=f"127.0.0.1:{free_port()}")


@broken(Fault.PORT_TAKEN, cures=another_port, says="another port")
async def the_page_has_somebody_elses_port(bench: Bench) -> None:
    taken = bench.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    bench.change("operator", listen=f"127.0.0.1:{taken.getsockname()[1]}")


@broken(Fault.PORT_TAKEN, cures=another_port)
async def another_web_server_has_the_pages_port(bench: Bench) -> None:
    bench.change("operator", listen=f"127.0.0.1:{(await web_server(bench, b'hello')).port}")


async def web_server(
    bench: Bench, text: bytes, status: int = 200, kind: bytes = b"text/html", **words: Any
) -> Listener:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(b"content-type", kind), (b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": text})

    return await bench.stack.enter_async_context(Listener(app, **words))


# The way to each side -----------------------------------------------------------------------------


async def right_graph(bench: Bench) -> None:
    bench.change("teams", graph_url=bench.graph.url)


async def right_pbx(bench: Bench) -> None:
    bench.change("pbx", url=bench.pbx.url)


@broken(Fault.NAME_UNKNOWN, cures=right_graph, says="[teams] graph_url")
async def nobody_knows_the_name_of_graph(bench: Bench) -> None:
    bench.change("teams", graph_url="https://graph.invalid")


@broken(Fault.NAME_UNKNOWN, cures=right_pbx, says="getent hosts pbx.invalid")
async def nobody_knows_the_name_of_the_pbx(bench: Bench) -> None:
    bench.change("pbx", url="https://pbx.invalid:5001")


@broken(Fault.PORT_CLOSED, cures=right_pbx, says="[pbx] url")
async def nothing_listens_at_the_pbxs_port(bench: Bench) -> None:
    bench.change("pbx", url=f"https://127.0.0.1:{free_port()}")


@broken(Fault.PORT_CLOSED, cures=right_pbx, kind=WEB_API)
async def the_old_bridge_does_not_run(bench: Bench) -> None:
    bench.change("pbx", url=f"http://127.0.0.1:{free_port()}")


async def right_authority(bench: Bench) -> None:
    ca = str(bench.folder / "tls" / "ca.pem")
    bench.change("teams", ca_file=ca)
    bench.change("pbx", ca_file=ca)


@broken(Fault.CERTIFICATE_UNTRUSTED, cures=right_authority, says="ca_file in [teams]")
async def somebody_opens_tls_on_the_way_to_microsoft(bench: Bench) -> None:
    bench.change("teams", ca_file=None)


@broken(Fault.CERTIFICATE_UNTRUSTED, cures=right_authority, says="ca_file in [pbx]")
async def the_pbx_has_a_private_authority(bench: Bench) -> None:
    bench.change("pbx", ca_file=None)


async def pbx_with(bench: Bench, **words: Any) -> None:
    """Another server in the PBX's place, with a certificate of its own that is trusted."""
    (bench.folder / "ca-of-pbx.pem").write_text(self_signed(bench.folder, stem="pbx", **words))
    pem = bench.folder / "pbx.pem"
    server = await web_server(bench, b"", certificate=pem, key=pem)
    bench.change("pbx", url=f"https://localhost:{server.port}", ca_file="ca-of-pbx.pem")


@broken(Fault.CERTIFICATE_ENDED, says="timedatectl")
async def the_pbxs_certificate_has_ended(bench: Bench) -> None:
    await pbx_with(bench, since_days=-100, days=-1)


@broken(Fault.CERTIFICATE_NOT_YET)
async def the_pbxs_certificate_is_of_tomorrow(bench: Bench) -> None:
    await pbx_with(bench, since_days=1)


@broken(Fault.CERTIFICATE_OF_ANOTHER, says="pbx.example.org")
async def the_pbxs_certificate_has_another_name(bench: Bench) -> None:
    await pbx_with(bench, names=("pbx.example.org",))


@broken(Fault.TLS_FAILS, cures=right_pbx)
async def https_where_http_is_spoken(bench: Bench) -> None:
    server = await web_server(bench, b"hello")
    bench.change("pbx", url=f"https://127.0.0.1:{server.port}")


@broken(Fault.NOT_HTTP, cures=right_pbx, says="https")
async def http_where_https_is_spoken(bench: Bench) -> None:
    bench.change("pbx", url=bench.pbx.url.replace("https", "http"))


@broken(Fault.CLOCK_WRONG, says="timedatectl")
async def the_clock_is_ten_minutes_behind(bench: Bench) -> None:
    bench.outside.clock_ahead_s = -600.0


@broken(Fault.CLOCK_DRIFTS, state=State.WARNING)
async def the_clock_is_two_minutes_ahead(bench: Bench) -> None:
    bench.outside.clock_ahead_s = 120.0


# Microsoft ----------------------------------------------------------------------------------------

_OTHER = "99999999-2222-3333-4444-555555555555"


@broken(Fault.TENANT_UNKNOWN, cures=set_back("teams", tenant_id="11111111-2222-3333-4444-555555555555"))
async def the_tenant_id_is_wrong(bench: Bench) -> None:
    bench.change("teams", tenant_id=_OTHER)


@broken(Fault.APP_UNKNOWN, cures=set_back("teams", client_id="aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"))
async def the_apps_id_is_wrong(bench: Bench) -> None:
    bench.change("teams", client_id=_OTHER)


async def right_secret(bench: Bench) -> None:
    (bench.folder / "secret").write_text("s3cret")


@broken(Fault.SECRET_WRONG, cures=right_secret, says="Value (not its ID)")
async def the_secret_is_wrong(bench: Bench) -> None:
    (bench.folder / "secret").write_text("its id")


def only(*roles: str) -> Callable[[Bench], None]:
    def prepare(bench: Bench) -> None:
        bench.roles = roles

    return prepare


@broken(Fault.NO_PRESENCE_READ, prepare=only("User.ReadBasic.All"), says="Presence.Read.All")
async def presence_may_not_be_read(_bench: Bench) -> None: ...


@broken(
    Fault.NO_PRESENCE_WRITE,
    prepare=only("Presence.Read.All", "User.ReadBasic.All"),
    says="Presence.ReadWrite.All",
)
async def presence_may_not_be_set(_bench: Bench) -> None: ...


async def by_object_ids(bench: Bench) -> None:
    for one, user in zip(bench.sections["person"], bench.users, strict=True):
        one["teams"] = user.id
    bench.write()


@broken(
    Fault.NO_USER_READ,
    cures=by_object_ids,
    prepare=only("Presence.Read.All", "Presence.ReadWrite.All"),
    says="User.ReadBasic.All",
)
async def people_may_not_be_found(_bench: Bench) -> None: ...


async def the_right_name(bench: Bench) -> None:
    bench.sections["person"][0]["teams"] = "ann@example.org"
    bench.write()


@broken(Fault.PEOPLE_UNKNOWN, cures=the_right_name, says="anne@example.org (101)")
async def somebody_is_misspelt(bench: Bench) -> None:
    bench.sections["person"][0]["teams"] = "anne@example.org"
    bench.write()


def with_two_of_one_mail(bench: Bench) -> None:
    bench.users = (
        *(replace(user, mail="ann.miller@example.org") for user in bench.users[:2]),
        *bench.users[2:],
    )


@broken(
    Fault.PEOPLE_SEVERAL,
    cures=the_right_name,
    prepare=with_two_of_one_mail,
    says="ann.miller@example.org (101)",
)
async def a_mail_address_is_that_of_two(bench: Bench) -> None:
    bench.sections["person"][0]["teams"] = "ann.miller@example.org"
    bench.write()


def with_alias(bench: Bench) -> None:
    bench.users = (replace(bench.users[0], mail="ann.miller@example.org"), *bench.users[1:])


async def nobody_twice(bench: Bench) -> None:
    bench.sections["person"].pop()
    bench.write()


@broken(Fault.PEOPLE_DOUBLE, cures=nobody_twice, prepare=with_alias, says="101 and 103")
async def two_names_are_one_person(bench: Bench) -> None:
    bench.sections["person"][2]["teams"] = "ann.miller@example.org"
    bench.write()


async def the_account_is_there(bench: Bench) -> None:
    bench.sections["person"] = bench.sections["person"][:-1]
    bench.write()


@broken(Fault.PEOPLE_WITHOUT_PRESENCE, cures=the_account_is_there, state=State.WARNING, says="licence")
async def somebody_has_no_presence(bench: Bench) -> None:
    bench.sections["person"][2]["teams"] = _OTHER
    bench.write()


@broken(Fault.GRAPH_FAILS)
async def graph_is_out_of_order(bench: Bench) -> None:
    fault = {"code": 503, "path": "getPresencesByUserId"}
    await bench.play_graph("POST", "/faults", {"status": fault})


async def no_preferred(bench: Bench) -> None:
    await bench.play_graph("PUT", "/users/ann@example.org/preferred")


@broken(
    Fault.SESSION_NOT_SHOWN,
    cures=no_preferred,
    state=State.WARNING,
    wishes={"session_of": "101"},
    says="--preferred",
)
async def a_preferred_presence_hides_ours(bench: Bench) -> None:
    offline = {"availability": "Offline", "activity": "OffWork"}
    await bench.play_graph("PUT", "/users/ann@example.org/preferred", offline)


# The webhook --------------------------------------------------------------------------------------


async def straight(bench: Bench) -> None:
    hook = bench.sections["teams.webhook"]
    bench.change("teams.webhook", public_url=f"http://{hook['listen']}/hook")


@broken(Fault.WEBHOOK_UNREACHABLE, cures=straight, says="packaging/nginx")
async def nothing_is_at_the_public_address(bench: Bench) -> None:
    bench.with_webhook()
    await bench.sign_in()
    bench.change("teams.webhook", public_url=f"http://127.0.0.1:{free_port()}/hook")


@broken(Fault.WEBHOOK_ANSWERS_OTHERWISE, cures=straight)
async def another_page_is_at_the_public_address(bench: Bench) -> None:
    bench.with_webhook()
    await bench.sign_in()
    bench.change("teams.webhook", public_url=(await web_server(bench, b"Welcome to nginx!")).url + "/hook")


@broken(Fault.WEBHOOK_UNREACHABLE, cures=straight)
async def the_web_server_does_not_reach_us(bench: Bench) -> None:
    bench.with_webhook()
    await bench.sign_in()
    bench.change("teams.webhook", public_url=(await web_server(bench, b"", 502)).url + "/hook")


@broken(Fault.WEBHOOK_CERTIFICATE, cures=straight)
async def the_web_servers_certificate_is_not_public(bench: Bench) -> None:
    bench.with_webhook()
    await bench.sign_in()
    self_signed(bench.folder, stem="web")
    pem = bench.folder / "web.pem"
    server = await web_server(bench, b"", certificate=pem, key=pem)
    bench.change("teams.webhook", public_url=f"https://localhost:{server.port}/hook")


@broken(Fault.NOT_SIGNED_IN, cures=Bench.sign_in, says="presencebridge login --watcher default")
async def nobody_is_signed_in(bench: Bench) -> None:
    bench.with_webhook()


@broken(Fault.SIGNED_OUT, cures=Bench.sign_in, says="presencebridge login")
async def the_sign_in_has_died(bench: Bench) -> None:
    bench.with_webhook()
    await bench.sign_in()
    await bench.play_graph("POST", "/sign-ins/revoke", {"username": "watcher@example.org"})


async def delete_it(bench: Bench) -> None:
    command = ["teams", "subscriptions", "delete", "--config", str(bench.written)]
    await asyncio.to_thread(subprocess.run, [PROGRAMS / "presencebridge", *command], check=True)


@broken(Fault.SUBSCRIPTION_ELSEWHERE, cures=delete_it, state=State.WARNING, says="subscriptions delete")
async def the_account_watches_for_another_installation(bench: Bench) -> None:
    bench.with_webhook()
    await bench.sign_in()
    other = await bench.stack.enter_async_context(Listener(Webhook("/theirs", lambda _: True, lambda: None)))
    ours = bench.sections["teams.webhook"]["public_url"]
    bench.change("teams.webhook", public_url=other.url + "/theirs")
    command = ["teams", "subscriptions", "create", "--config", str(bench.written)]
    await asyncio.to_thread(subprocess.run, [PROGRAMS / "presencebridge", *command], check=True)
    bench.change("teams.webhook", public_url=ours)


# 3CX V20 ------------------------------------------------------------------------------------------


@broken(Fault.API_CLIENT_REFUSED, cures=set_back("pbx", client_id="bridge"), says="Client ID")
async def the_api_clients_id_is_wrong(bench: Bench) -> None:
    bench.change("pbx", client_id="nobody")


async def right_key(bench: Bench) -> None:
    (bench.folder / "key").write_text("k3y")


@broken(Fault.API_CLIENT_REFUSED, cures=right_key, says="/key")
async def the_api_clients_key_is_wrong(bench: Bench) -> None:
    (bench.folder / "key").write_text("old")


async def as_the_old_bridge(bench: Bench) -> None:
    bench.sections["pbx"] = {"kind": WEB_API, "url": bench.sections["pbx"]["url"]}
    bench.write()


@broken(Fault.NOT_V20, cures=as_the_old_bridge, says='kind = "3cx-web-api"')
async def an_old_bridge_where_v20_should_be(bench: Bench) -> None:
    world = World(extensions=bench.extensions)
    old = await bench.stack.enter_async_context(RunningWebApi(world, out=lambda _line: None))
    bench.change("pbx", url=old.url)


@broken(Fault.NOT_V20)
async def some_web_server_where_v20_should_be(bench: Bench) -> None:
    bench.change("pbx", url=(await web_server(bench, b"Not Found", 404)).url)


@broken(Fault.NO_CONFIGURATION_API, cures=no_more_faults, says="System Admin")
async def the_api_client_may_not_see_users(bench: Bench) -> None:
    await of_pbx(forbidden=["Users"])(bench)


async def right_extension(bench: Bench) -> None:
    bench.sections["person"][0]["extension"] = "101"
    bench.write()


@broken(Fault.EXTENSIONS_UNKNOWN, cures=right_extension, says="extension = of 199")
async def somebodys_extension_is_wrong(bench: Bench) -> None:
    bench.sections["person"][0]["extension"] = "199"
    bench.write()


async def named_back(bench: Bench) -> None:
    await bench.play_pbx("PUT", "/extensions/101", {"status": "Available"})


@broken(Fault.STATUS_NAME_UNKNOWN, cures=no_more_faults)
async def a_status_has_a_name_that_nobody_tells(bench: Bench) -> None:
    await of_pbx(profile_names="shown", forbidden=["GetSystemParameters"])(bench)
    await bench.play_pbx("PUT", "/profile-names", {"Custom 1": "Teatime"})
    await bench.play_pbx("PUT", "/extensions/101", {"status": "Custom 1"})


@broken(
    Fault.NO_CALL_CONTROL, cures=set_back("pbx", calls_via="active-calls"), says="Call Control API Access"
)
async def the_api_client_has_no_call_control(bench: Bench) -> None:
    await of_pbx(status={"code": 403, "path": "/callcontrol"})(bench)


async def monitor_everybody(bench: Bench) -> None:
    bench.sections["person"].pop()
    bench.write()


def two_monitored(bench: Bench) -> None:
    bench.monitored = ("101", "102")


@broken(Fault.NOT_MONITORED, cures=monitor_everybody, prepare=two_monitored, says="monitor > add 103")
async def an_extension_is_not_monitored(_bench: Bench) -> None: ...


@broken(Fault.NO_WEBSOCKET, cures=no_more_faults, says="Upgrade")
async def something_stops_websockets(bench: Bench) -> None:
    await of_pbx(refuse_sockets=True)(bench)


@broken(Fault.NO_ACTIVE_CALLS, cures=no_more_faults)
async def the_list_of_calls_is_forbidden_and_needed(bench: Bench) -> None:
    bench.change("pbx", calls_via="active-calls")
    await of_pbx(forbidden=["ActiveCalls"])(bench)


@broken(Fault.NO_ACTIVE_CALLS, cures=no_more_faults, state=State.WARNING)
async def the_list_of_calls_is_forbidden(bench: Bench) -> None:
    await of_pbx(forbidden=["ActiveCalls"])(bench)


@broken(Fault.NO_STATUS_WRITE, cures=no_more_faults, says="docs/3cx-v20.md")
async def a_status_may_not_be_set(bench: Bench) -> None:
    await of_pbx(patch_profile="error")(bench)


async def a_second_way(bench: Bench) -> None:
    world = World(extensions=bench.extensions)
    other = RunningWebApi(world, dialect="wha", api_key="sesame", out=lambda _line: None)
    await bench.stack.enter_async_context(other)
    (bench.folder / "bridge-key").touch(0o600)
    (bench.folder / "bridge-key").write_text("sesame")
    bench.change("pbx", status_via=["xapi", "bridge"])
    words = {"kind": "3cx-status-web-api", "url": other.url, "api_key_file": "bridge-key"}
    bench.sections["pbx.bridge"] = words
    bench.write()


@broken(
    Fault.STATUS_WRITE_IGNORED,
    cures=a_second_way,
    wishes={"status_of": "101"},
    says='status_via = ["xapi", "bridge"]',
)
async def changes_of_a_status_are_ignored(bench: Bench) -> None:
    await of_pbx(patch_profile="ignored")(bench)


async def the_bridges_key(bench: Bench) -> None:
    (bench.folder / "bridge-key").write_text("sesame")


@broken(Fault.STATUS_BRIDGE_KEY, cures=the_bridges_key, says="bridge-key")
async def the_bridge_for_statuses_has_another_key(bench: Bench) -> None:
    await a_second_way(bench)
    (bench.folder / "bridge-key").write_text("abracadabra")


@broken(
    Fault.STATUS_BRIDGE_FAILS,
    cures=set_back("pbx.bridge", kind="3cx-status-web-api", api_key_file="bridge-key"),
)
async def the_bridge_for_statuses_is_of_another_kind(bench: Bench) -> None:
    await a_second_way(bench)
    bench.change("pbx.bridge", kind="3cx-web-api", api_key_file=None)


async def own_sync_off(bench: Bench) -> None:
    await bench.play_pbx("PUT", "/microsoft365", {"SetTeamsPresence": False})


@broken(Fault.OWN_SYNC, cures=own_sync_off, says="Microsoft 365")
async def the_pbxs_own_sync_is_on(bench: Bench) -> None:
    await bench.play_pbx("PUT", "/microsoft365", {"SetTeamsPresence": True})


# Who is who, by address ---------------------------------------------------------------------------


def by_mail(bench: Bench) -> None:
    bench.roles = (*bench.roles, "User.Read.All")


async def match_by_mail(bench: Bench) -> None:
    bench.sections["people"] = {"match": "email"}
    bench.sections.pop("person")
    bench.write()


def with_a_stranger(bench: Bench) -> None:
    by_mail(bench)
    ann, bob, cyn = bench.extensions
    bench.extensions = (ann, bob, replace(cyn, email="nobody@example.org"))


async def leave_them_out(bench: Bench) -> None:
    bench.change("people", exclude=["103"])


@broken(
    Fault.PEOPLE_UNMATCHED,
    cures=leave_them_out,
    prepare=with_a_stranger,
    state=State.WARNING,
    says="correct it on 3CX",
)
async def somebody_has_no_counterpart(bench: Bench) -> None:
    await match_by_mail(bench)


def with_one_address_for_two(bench: Bench) -> None:
    by_mail(bench)
    ann, bob, cyn = bench.extensions
    bench.extensions = (ann, bob, replace(cyn, email=ann.email))


@broken(
    Fault.PEOPLE_UNMATCHED,
    cures=leave_them_out,
    prepare=with_one_address_for_two,
    state=State.WARNING,
    says="an address of their own",
)
async def two_extensions_have_one_address(bench: Bench) -> None:
    await match_by_mail(bench)


def without_addresses(bench: Bench) -> None:
    by_mail(bench)
    bench.extensions = tuple(replace(one, email="") for one in bench.extensions)


async def by_hand(bench: Bench) -> None:
    people = [{"teams": "ann@example.org", "extension": "101"}]
    bench.sections["person"] = people
    bench.change("people", exclude=["102", "103"])


@broken(Fault.NOBODY_MATCHED, cures=by_hand, prepare=without_addresses, says="docs/matching.md")
async def nobody_has_an_address(bench: Bench) -> None:
    await match_by_mail(bench)


@broken(Fault.NO_USER_READ_ALL, state=State.WARNING, says="User.Read.All")
async def further_addresses_are_not_shown(bench: Bench) -> None:
    await match_by_mail(bench)


# The old bridge -----------------------------------------------------------------------------------


@broken(Fault.BRIDGE_SILENT, cures=no_more_faults, kind=WEB_API, says="/var/lib/3cxpbx/Bin")
async def the_old_bridge_has_lost_the_pbx(bench: Bench) -> None:
    await of_pbx(not_connected=True)(bench)


@broken(Fault.NOT_THE_BRIDGE, cures=right_pbx, kind=WEB_API)
async def a_web_server_where_the_old_bridge_should_be(bench: Bench) -> None:
    bench.change("pbx", url=(await web_server(bench, b"<h1>3CX</h1>")).url)


@broken(Fault.EXTENSIONS_UNANSWERED, cures=right_extension, kind=WEB_API, says="extension = of 199")
async def the_old_bridge_does_not_know_an_extension(bench: Bench) -> None:
    bench.sections["person"][0]["extension"] = "199"
    bench.write()


@broken(Fault.BRIDGE_IGNORES, cures=no_more_faults, kind=WEB_API, wishes={"status_of": "101"})
async def the_old_bridge_changes_nothing(bench: Bench) -> None:
    await of_pbx(ignore_set=True)(bench)


# The tests ----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microsoft, "_SHOWN_WITHIN_S", 2)


@contextlib.asynccontextmanager
async def setup(one: Broken, folder: Path) -> AsyncIterator[Bench]:
    async with bench(folder, one.kind, one.prepare) as made:
        await one.breaks(made)
        yield made


@pytest.mark.parametrize("one", SETUPS, ids=[one.name for one in SETUPS])
async def test_the_fault_is_named_first_and_its_cure_works(one: Broken, tmp_path: Path) -> None:
    async with setup(one, tmp_path) as made:
        findings = await made.examine(**one.wishes)
        found = first_bad(findings)
        assert found is not None, "nothing was found wrong"
        assert (found.fault, found.state) == (one.fault.word, one.state), found
        assert one.says in found.cure
        assert "{" not in found.cure
        if one.state is State.WRONG:
            others = [other for other in findings if other.state is State.WRONG and other is not found]
            assert not [other for other in others if findings.index(other) < findings.index(found)]
        if one.cures is not None:
            await one.cures(made)
            left = first_bad(await made.examine(**one.wishes))
            assert left is None, left


@pytest.mark.parametrize("kind", [V20, WEB_API])
async def test_a_sound_set_up_is_fine_and_nothing_is_written(kind: str, tmp_path: Path) -> None:
    async with bench(tmp_path, kind) as made:
        findings = await made.examine()
        assert first_bad(findings) is None
        asked = [(one["method"], one["path"]) for one in await made.play_graph("GET", "/requests")]
        writes = {path.rpartition("/")[2] for method, path in asked if "/presence/" in path}
        assert writes == {"clearPresence"}  # of a session that there is not
        for number in ("101", "102", "103"):
            assert (await made.play_pbx("GET", f"/extensions/{number}"))["status"] == "Available"


def test_there_are_enough_of_them() -> None:
    assert len({one.name for one in SETUPS}) == len(SETUPS) >= 60
    healed = {one.fault for one in SETUPS if one.cures is not None}
    assert len(healed) >= 25  # different faults, each with its cure carried out and doctor content afterwards


async def test_the_tests_that_change_something_set_it_back(tmp_path: Path) -> None:
    async with bench(tmp_path, V20) as made:
        await made.play_pbx("PUT", "/extensions/102", {"status": "Custom 2"})
        findings = await made.examine(status_of="102", session_of="101")
        assert of(findings, "write test").state is of(findings, "session test").state is State.FINE
        assert (await made.play_pbx("GET", "/extensions/102"))["status"] == "Custom 2"
        shown = await made.play_graph("GET", "/users/ann@example.org")
        assert [one["session_id"] for one in shown["sessions"]] == ["client"]


async def test_what_hangs_on_a_fault_is_not_tried(tmp_path: Path) -> None:
    async with bench(tmp_path, V20) as made:
        (tmp_path / "secret").write_text("wrong")
        findings = await made.examine()
        assert [one.probe for one in findings if one.state is State.WRONG] == ["app token"]
        right = of(findings, "right to read presence")
        assert (right.state, right.what) == (State.NOT_TRIED, "because of app token")
        assert of(findings, "3CX users").state is State.FINE


async def test_a_proxy_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, V20) as made:
        made.change("pbx", url="https://pbx.invalid:5001")
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
        found = first_bad(await made.examine())
        assert found is not None
        assert found.fault == "proxy-unreachable"
        assert "HTTPS_PROXY" in found.cure


async def test_a_proxy_that_lets_nobody_pass_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, V20) as made:
        made.change("pbx", url="https://pbx.invalid:5001")
        monkeypatch.setenv("HTTPS_PROXY", (await web_server(made, b"who are you?", 407)).url)
        found = first_bad(await made.examine())
        assert found is not None
        assert found.fault == "proxy-refuses"


@pytest.mark.parametrize(("free", "fault"), [(1_000_000, "disk-full"), (100_000_000, "disk-nearly-full")])
async def test_a_full_disk_is_named(
    free: int, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, WEB_API) as made:
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _folder: usage)
        found = first_bad(await made.examine())
        assert found is not None
        assert found.fault == fault


async def test_the_handshake_is_made_through_whatever_is_in_front(tmp_path: Path) -> None:
    async with bench(tmp_path, WEB_API) as made:
        made.with_webhook()
        await made.sign_in()
        findings = await made.examine()
        assert first_bad(findings) is None
        assert of(findings, "webhook").state is State.FINE
        assert of(findings, "subscription default").what.startswith("none")


async def test_the_services_sign_in_is_left_as_it_is(tmp_path: Path) -> None:
    async with bench(tmp_path, WEB_API) as made:
        made.with_webhook()
        await made.sign_in()
        file = tmp_path / "state" / "watcher-default.json"
        before = file.read_bytes()
        await made.examine()
        assert file.read_bytes() == before
        assert [one.name for one in (tmp_path / "state").iterdir()] == [file.name]


def test_where_the_token_names_no_rights_nothing_is_made_of_it() -> None:
    assert microsoft.roles_of("opaque") == []


def test_no_secret_is_told(tmp_path: Path) -> None:
    async def told() -> str:
        async with bench(tmp_path, V20) as made:
            return repr(await made.examine())

    text = asyncio.run(told())
    assert not re.search(r"s3cret|k3y|eyJ", text)
