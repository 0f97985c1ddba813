"""All probes in their order, from the ground up, and what hangs on what."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from presencebridge.doctor import machine, microsoft, network, phones, service
from presencebridge.doctor.faults import Fault
from presencebridge.doctor.findings import Finding, State, Verdict, finding, not_tried, wrong
from presencebridge.doctor.network import Target
from presencebridge.doctor.site import Site
from presencebridge.errors import LinkError

Look = Callable[[], Awaitable[Verdict]]

_CLOCK: Final = "clock"


@dataclass(frozen=True)
class Probe:
    """One matter to look at, and the probes without which it makes no sense."""

    name: str
    look: Look
    needs: tuple[str, ...] = ()


async def examine(site: Site) -> AsyncIterator[Finding]:
    """Looks at everything, one thing after another, and tells each finding as it is made."""
    states: dict[str, State] = {}
    async with contextlib.AsyncExitStack() as stack:
        for probe in await _probes(site, stack):
            bad = [need for need in probe.needs if states[need] in (State.WRONG, State.NOT_TRIED)]
            verdict = not_tried(_because(bad[0], states)) if bad else await _looked(probe)
            states[probe.name] = verdict.state
            yield finding(probe.name, verdict, str(site.file))


def _because(need: str, states: dict[str, State]) -> str:
    return f"because of {need}" if states[need] is State.WRONG else f"because {need} was not tried"


async def _looked(probe: Probe) -> Verdict:
    try:
        return await probe.look()
    except (LinkError, OSError) as error:
        return wrong(Fault.PROBE_FAILS, f"{type(error).__name__}: {error}")


def _way(site: Site, target: Target) -> list[Probe]:
    """The probes of the way to one address."""
    names = [f"{target.name} {layer}" for layer in ("name", "connection", "answer")]
    return [
        Probe(names[0], partial(network.name, target)),
        Probe(names[1], partial(network.connection, target), (names[0],)),
        Probe(names[2], partial(network.answer, site, target), (names[1],)),
    ]


async def _probes(site: Site, stack: contextlib.AsyncExitStack) -> list[Probe]:
    config = site.config
    pbx_kind = config.pbx.kind
    return [
        Probe("config", partial(machine.config, site)),
        Probe("app credential", partial(machine.credential, site)),
        Probe("state folder", partial(machine.state_folder, site)),
        Probe("service", partial(service.running, site)),
        Probe("own addresses", partial(machine.listeners, site), ("service",)),
        *(probe for target in _targets(site) for probe in _way(site, target)),
        Probe(_CLOCK, partial(network.clock, site)),
        Probe("expiry", partial(machine.expiry, site)),
        *await _microsoft(site, stack),
        *(await _v20(site, stack) if pbx_kind == "3cx-v20" else await _old_bridge(site, stack)),
        Probe("presence of people", partial(microsoft.presences, site), ("right to read presence",)),
        Probe("session test", partial(microsoft.session, site), ("right to set presence",)),
        Probe("service links", partial(service.links, site), ("service",)),
        Probe("last event", partial(service.last_event, site), ("service",)),
        Probe("service people", partial(service.people, site), ("service",)),
    ]


def _targets(site: Site) -> list[Target]:
    config = site.config
    teams, pbx = config.teams, config.pbx
    keys = f"/{teams.tenant_id}/v2.0/.well-known/openid-configuration"
    found = [
        Target("Entra", config.login_url, teams.ca_file, "[teams]", "login_url", keys),
        Target("Graph", config.graph_url, teams.ca_file, "[teams]", "graph_url", "/v1.0/"),
        Target("3CX", pbx.url, pbx.ca_file, "[pbx]", "url"),
    ]
    if pbx.bridge:
        found.append(Target("bridge", pbx.bridge.url, pbx.bridge.ca_file, "[pbx.bridge]", "url"))
    return found


async def _microsoft(site: Site, stack: contextlib.AsyncExitStack) -> list[Probe]:
    config = site.config
    http = await stack.enter_async_context(site.outside.probe_http(config.graph_url, config.teams.ca_file))
    probes = [
        Probe(
            "app token",
            partial(microsoft.token, site, http),
            ("app credential", "Entra answer", _CLOCK),
        ),
        Probe(
            "right to read presence",
            partial(microsoft.may_read_presence, site),
            ("app token", "Graph answer"),
        ),
        Probe(
            "right to find people", partial(microsoft.may_find_people, site), ("app token", "Graph answer")
        ),
        Probe(
            "right to set presence", partial(microsoft.may_set_presence, site), ("app token", "Graph answer")
        ),
        Probe("people in Entra", partial(microsoft.people, site), ("right to find people",)),
    ]
    hook = config.teams.webhook
    if config.teams.delivery == "webhook" and hook is not None:
        probes.append(Probe("webhook", partial(microsoft.webhook, site), ("own addresses",)))
        for name in hook.watchers:
            signed_in = f"sign-in {name}"
            probes += [
                Probe(signed_in, partial(microsoft.watcher, site, name), ("Entra answer", _CLOCK)),
                Probe(
                    f"subscription {name}",
                    partial(microsoft.subscription, site, name, http),
                    (signed_in, "Graph answer"),
                ),
            ]
    return probes


async def _v20(site: Site, stack: contextlib.AsyncExitStack) -> list[Probe]:
    pbx = site.config.pbx
    http = await stack.enter_async_context(site.outside.probe_http(pbx.url, pbx.ca_file))
    token, users = ("3CX token",), ("3CX users",)
    by_mail = site.config.people.match == "email"
    probes = [
        Probe(token[0], partial(phones.token, site, http), ("3CX answer",)),
        Probe("3CX licence", partial(phones.licence, site), token),
        Probe(users[0], partial(phones.configuration_api, site, http), token),
    ]
    if by_mail:
        needs = (*users, "right to find people")
        probes.append(Probe("matching", partial(phones.matching, site), needs))
    probes += [
        Probe("3CX extensions", partial(phones.extensions, site), users),
        Probe("3CX statuses", partial(phones.statuses, site), ("3CX extensions",)),
        Probe("3CX call control", partial(phones.call_control, site), token),
        Probe("3CX websocket", partial(phones.websocket, site), ("3CX call control",)),
        Probe("3CX active calls", partial(phones.active_calls, site), token),
        Probe("right to set a status", partial(phones.may_set_status, site), ("3CX statuses",)),
        Probe("3CX own sync", partial(phones.own_sync, site), token),
    ]
    if pbx.bridge is not None:
        other = await stack.enter_async_context(site.outside.probe_http(pbx.bridge.url, pbx.bridge.ca_file))
        look = partial(phones.bridge_of_v20, site, pbx.bridge, other)
        probes.append(Probe("bridge for statuses", look, ("bridge answer",)))
    return [*probes, Probe("write test", partial(phones.write_test, site), ("3CX statuses",))]


async def _old_bridge(site: Site, stack: contextlib.AsyncExitStack) -> list[Probe]:
    pbx = site.config.pbx
    http = await stack.enter_async_context(site.outside.probe_http(pbx.url, pbx.ca_file))
    return [
        Probe("3cx-web-API", partial(phones.bridge, site, http), ("3CX answer",)),
        Probe("3CX extensions", partial(phones.bridge_extensions, site), ("3cx-web-API",)),
        Probe("write test", partial(phones.write_test, site), ("3CX extensions",)),
    ]
