"""Every metric, declared once. No label names a person.

Each site has a set of its own, which is handed to whatever counts. `exposition` joins them, and gives each
sample the label `site` there. So what counts does not know of other sites, and a site that goes takes
its metrics with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

CONTENT_TYPE: Final = "text/plain; version=0.0.4"


_HOPS_S: Final = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_CHANGES_S: Final = (0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds. A change takes what a request to Graph or 3CX takes; minutes are a Retry-After."""


class Metrics:
    """The metrics of one site."""

    def __init__(self) -> None:
        # What reads the registry is `exposition`, and no name is registered twice.
        registry = self.registry = CollectorRegistry(auto_describe=False)
        self.events = Counter(
            "presencebridge_events", "Events that were worked through, by kind.", ["kind"], registry=registry
        )
        self.commands = Counter(
            "presencebridge_commands",
            "What was decided, by kind of command and cause.",
            ["kind", "because"],
            registry=registry,
        )
        self.writes = Counter(
            "presencebridge_writes",
            "Writes to each side, by kind (set, clear, status): done, ignored (3CX accepted it, and nothing "
            "changed), or the error.",
            ["side", "kind", "outcome"],
            registry=registry,
        )
        self.write_seconds = Histogram(
            "presencebridge_write_seconds",
            "How long a write to each side took, the reads around it included.",
            ["side"],
            registry=registry,
        )
        self.hop_seconds = Histogram(
            "presencebridge_hop_seconds",
            "What leads to a write, hop by hop, by what was seen (notification, read, calls, status): "
            "understood (since a notification came in), decided (until the rules had decided), saved (until "
            "that was on the disk).",
            ["seen", "hop"],
            buckets=_HOPS_S,
            registry=registry,
        )
        self.change_seconds = Histogram(
            "presencebridge_change_seconds",
            "From what was seen until the other side had accepted the write that follows, tries included.",
            ["seen", "side"],
            buckets=_CHANGES_S,
            registry=registry,
        )
        self.writes_owed = Gauge(
            "presencebridge_writes_owed",
            "People who wait for a write to that side just now.",
            ["side"],
            registry=registry,
        )
        self.status_ignored = Counter(
            "presencebridge_status_ignored",
            "Changes of a status that 3CX accepted and did not carry out, by the way they took.",
            ["way"],
            registry=registry,
        )
        self.call_events = Counter(
            "presencebridge_call_events",
            "Events of 3CX V20's websocket: changed, removed, nothing (to us), unreadable, gap (some were "
            "lost), missing (a read found what none had told).",
            ["kind"],
            registry=registry,
        )
        self.notifications = Counter(
            "presencebridge_notifications",
            "Items of notifications: believed, or why not.",
            ["outcome"],
            registry=registry,
        )
        self.reads = Counter(
            "presencebridge_reads",
            "Reads of each side and what became of them.",
            ["side", "outcome"],
            registry=registry,
        )
        self.drift = Counter(
            "presencebridge_drift",
            "Changes that a read found and nobody had told: teams (no notification in 90 s), 3cx (no "
            "event of V20's websocket).",
            ["side"],
            registry=registry,
        )
        self.poll_interval = Gauge(
            "presencebridge_poll_interval_seconds",
            "At what interval everybody's presence is read by now: longer than was asked for where Graph's "
            "limit wants it.",
            registry=registry,
        )
        self.link_up = Gauge(
            "presencebridge_link_up",
            "1 while the link works, 0 while it does not.",
            ["link"],
            registry=registry,
        )
        self.last_seen = Gauge(
            "presencebridge_last_seen_timestamp_seconds",
            "When each source was last heard of, in seconds since 1970: teams_notification, teams_read, 3cx.",
            ["source"],
            registry=registry,
        )
        self.subscription_end = Gauge(
            "presencebridge_subscription_end_timestamp_seconds",
            "When each watcher's presence subscription ends unless it is renewed, in seconds since 1970; 0 "
            "while there is none.",
            ["watcher"],
            registry=registry,
        )
        self.config_refused = Gauge(
            "presencebridge_config_refused",
            "1 while the config file says something that can't be used, and what it said before goes on.",
            registry=registry,
        )
        self.failures = Counter(
            "presencebridge_site_failures",
            "Times that the site ended by itself, and was begun anew.",
            registry=registry,
        )
        self.in_step = Gauge(
            "presencebridge_in_step",
            "1 while the site is in step, as /readyz has it; else 0.",
            registry=registry,
        )
        self.expires = Gauge(
            "presencebridge_expiry_timestamp_seconds",
            "When a certificate, a secret, a sign-in or a licence ends, in seconds since 1970.",
            ["kind", "name"],
            registry=registry,
        )
        self.unmatched = Gauge(
            "presencebridge_people_unmatched",
            "People of the config or of 3CX for whom nobody was found on the other side.",
            registry=registry,
        )
        self.people = Gauge(
            "presencebridge_people",
            "People by condition: in step, working, waiting, trouble, paused, excluded.",
            ["condition"],
            registry=registry,
        )

    @property
    def declared(self) -> list[MetricWrapperBase]:
        """All of them, as they are declared above."""
        return _declared(self)


class DoorMetrics:
    """Of one site, wherever it runs: in a cluster each node takes in what comes for any of them."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry(auto_describe=False)
        self.refused = Counter(
            "presencebridge_notifications_refused",
            "What was not taken in at the door: items with a client_state that no node of the cluster made, "
            "and bodies of too large a size, which are let fall; requests that were answered with 503, since "
            "the site was not_running, its queue full, the cluster's engine silent, or this node had no_part "
            "in the cluster.",
            ["reason"],
            registry=registry,
        )
        self.takes_part = Gauge(
            "presencebridge_node_takes_part",
            "1 while this node takes notifications in and may run the site; 0 while it has no part in its "
            "cluster.",
            registry=registry,
        )
        self.has_node = Gauge(
            "presencebridge_site_has_node",
            "1 while some node runs the site, as far as this one knows; 0 while none of its cluster does.",
            registry=registry,
        )

    @property
    def declared(self) -> list[MetricWrapperBase]:
        return _declared(self)


def _declared(metrics: object) -> list[MetricWrapperBase]:
    return [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]


def all_declared() -> list[MetricWrapperBase]:
    return [*Metrics().declared, *DoorMetrics().declared]


def reference() -> str:
    """All metrics as a table in Markdown: docs/metrics.md holds it."""
    lines = ["| metric | kind | meaning |", "|---|---|---|"]
    for metric in all_declared():
        # The library tells of its metrics by these only.
        name = metric._name + ("_total" if metric._type == "counter" else "")  # noqa: SLF001
        labels = ",".join(("site", *metric._labelnames))  # noqa: SLF001
        lines.append(f"| `{name}{{{labels}}}` | {metric._type} | {metric._documentation} |")  # noqa: SLF001
    return "\n".join(lines)


def exposition(sites: Mapping[str, Metrics], doors: Mapping[str, DoorMetrics] | None = None) -> bytes:
    """All of them in Prometheus' text form, each sample with the label `site`."""
    return generate_latest(_Joined([*sites.items(), *(doors or {}).items()]))


class _Joined(Collector):
    """The registries of all sites as if they were one: a family is told once, whoever has samples of it."""

    def __init__(self, sites: Sequence[tuple[str, Metrics | DoorMetrics]]) -> None:
        self._sites = sites

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for site, metrics in self._sites:
            for found in metrics.registry.collect():
                family = families.get(found.name)
                if family is None:
                    family = families[found.name] = Metric(found.name, found.documentation, found.type)
                family.samples += [_of_site(sample, site) for sample in found.samples]
        yield from families.values()


def _of_site(sample: Sample, site: str) -> Sample:
    return sample._replace(labels={"site": site, **sample.labels})


if __name__ == "__main__":
    print(reference())  # noqa: T201 - what it is for
