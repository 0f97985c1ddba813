"""Every metric, declared once. No label names a person.

Each site has a set of its own, which is handed to whatever counts. `exposition` joins them, and gives each
sample the label `site` there. So what counts does not know of other sites, and a site that goes takes
its metrics with it.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

CONTENT_TYPE: Final = "text/plain; version=0.0.4"


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
            "Writes to each side: done, ignored (accepted by 3CX, and nothing changed), or the error.",
            ["side", "outcome"],
            registry=registry,
        )
        self.write_seconds = Histogram(
            "presencebridge_write_seconds",
            "How long a write to each side took, the reads around it included.",
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
            "Changes that a read found and no notification had told.",
            registry=registry,
        )
        self.poll_interval = Gauge(
            "presencebridge_poll_interval_seconds",
            "At what interval everybody's presence is read, by now.",
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
            "When each source was last heard of.",
            ["source"],
            registry=registry,
        )
        self.subscription_end = Gauge(
            "presencebridge_subscription_end_timestamp_seconds",
            "When each watcher's presence subscription ends unless it is renewed.",
            ["watcher"],
            registry=registry,
        )
        self.people = Gauge("presencebridge_people", "People by condition.", ["condition"], registry=registry)


def exposition(sites: Mapping[str, Metrics]) -> bytes:
    """All of them in Prometheus' text form, each sample with the label `site`."""
    return generate_latest(_Joined(sites))


class _Joined(Collector):
    """The registries of all sites as if they were one: a family is told once, whoever has samples of it."""

    def __init__(self, sites: Mapping[str, Metrics]) -> None:
        self._sites = sites

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for site, metrics in self._sites.items():
            for found in metrics.registry.collect():
                family = families.get(found.name)
                if family is None:
                    family = families[found.name] = Metric(found.name, found.documentation, found.type)
                family.samples += [_of_site(sample, site) for sample in found.samples]
        yield from families.values()


def _of_site(sample: Sample, site: str) -> Sample:
    return sample._replace(labels={"site": site, **sample.labels})
