"""The config file of a simulated site, written and read as an operator's is."""

import functools
import tempfile
from pathlib import Path
from typing import Final

from presencebridge.config import Config, load
from presencebridge.emulators.world import Extension, User, Watcher, World
from presencebridge.files import FolderFiles
from presencebridge.graph.keys import EncryptionKeys
from presencebridge.simulation.plan import Plan

START: Final = 1_800_000_000.0
"""The wall's time at virtual time 0."""
GRAPH, PBX = "https://graph.microsoft.com", "https://pbx.example.org"
HOOK = "https://bridge.example.org/hook"
WATCHERS = {"one": "watcher@example.org", "two": "second-watcher@example.org"}


def watchers_of(plan: Plan) -> tuple[str, ...]:
    """Their names in the config."""
    return tuple(WATCHERS)[: plan.site.watchers]


def mail_of(person: str) -> str:
    return f"p{person}@example.org"


def world_of(plan: Plan) -> World:
    return World(
        client_secret="a-secret",  # noqa: S106 - an emulator's
        users=tuple(User(mail_of(person), display_name=f"P{person}") for person in plan.people),
        watchers=tuple(Watcher(name) for name in WATCHERS.values()),
        extensions=tuple(Extension(person, f"P{person} Example", mail_of(person)) for person in plan.people),
        pbx_client_id="bridge",
        pbx_client_secret="k3y",  # noqa: S106
    )


def config_of(plan: Plan, world: World, folder: Path, without: frozenset[str] = frozenset()) -> Config:
    """Written to `folder` and loaded; `without` those who are not to be served for a while."""
    for name, text in (("secret", world.client_secret), ("pbx-secret", world.pbx_client_secret)):
        file = folder / name
        file.write_text(text, "utf-8")
        file.chmod(0o600)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    if plan.site.delivery == "webhook":
        for name, content in _key_ring().items():
            FolderFiles(state).write(name, content)
    file = folder / "site.toml"
    file.write_text(_text(plan, world, without), "utf-8")
    return load(file)


@functools.cache
def _key_ring() -> dict[str, bytes]:
    """The key for notifications, as files. To make one takes long, so all sites have the same."""
    with tempfile.TemporaryDirectory(prefix="presencebridge-simulation-") as folder:
        files = FolderFiles(Path(folder))
        EncryptionKeys(files, lambda: START).newest()
        return {name: files.read(name) or b"" for name in files.names()}


def _text(plan: Plan, world: World, without: frozenset[str]) -> str:
    site, house = plan.site, plan.house
    lines = [
        "[teams]",
        f'tenant_id = "{world.tenant_id}"',
        f'client_id = "{world.client_id}"',
        'client_secret_file = "secret"',
        f'delivery = "{site.delivery}"',
        f"poll_every_s = {site.presence_every_s}",
        f"reconcile_every_s = {site.reconcile_every_s}",
        f'on_stop = "{site.on_stop}"',
    ]
    if site.delivery == "webhook":
        watchers = ", ".join(f'"{name}"' for name in watchers_of(plan))
        lines += ["[teams.webhook]", f'public_url = "{HOOK}"', f"watchers = [{watchers}]"]
    lines += [
        "[pbx]",
        f'url = "{PBX}"',
        f"poll_every_s = {site.calls_every_s}",
        f"status_every_s = {site.statuses_every_s}",
    ]
    if site.kind == "3cx-web-api":
        lines.append('kind = "3cx-web-api"')
    else:
        lines += ['kind = "3cx-v20"', 'client_id = "bridge"', 'client_secret_file = "pbx-secret"']
    if site.kind == "3cx-v20-active-calls":
        lines.append('calls_via = "active-calls"')
    lines += [
        "[policy]",
        f'preset = "{house.preset}"',
        f"manual_wins = {_word(house.manual_wins)}",
        f"busy_while_ringing = {_word(house.busy_while_ringing)}",
        f"lease_s = {house.lease_s}",
        "[state]",
        'dir = "state"',
    ]
    if site.match == "email":
        excluded = ", ".join(f'"{person}"' for person in sorted(house.excluded))
        lines += ["[people]", 'match = "email"', f"look_every_s = {site.look_every_s}"]
        lines.append(f"exclude = [{excluded}]")
        return "\n".join(lines) + "\n"
    for person, user in zip(plan.people, world.users, strict=True):
        is_out = person in without
        if is_out and _is_left_out(person):
            continue
        lines += ["[[person]]", f'teams = "{user.user_principal_name}"', f'extension = "{person}"']
        if is_out or person in house.excluded:
            lines.append("exclude = true")
    return "\n".join(lines) + "\n"


def _is_left_out(person: str) -> bool:
    """Whether an operator who serves the person no more deletes the lines, or writes `exclude` into them.

    101, who is everywhere, is excluded: a config without anybody is refused.
    """
    return int(person) % 2 == 0


def _word(value: bool) -> str:
    return "true" if value else "false"
