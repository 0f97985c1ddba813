"""Every metric, declared once. No label names a person."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

EVENTS = Counter(
    "presencebridge_events", "Events that were worked through, by kind.", ["kind"], registry=REGISTRY
)
COMMANDS = Counter(
    "presencebridge_commands",
    "What was decided, by kind of command and cause.",
    ["kind", "because"],
    registry=REGISTRY,
)
WRITES = Counter(
    "presencebridge_writes",
    "Writes to each side: done, ignored (accepted by 3CX, and nothing changed), or the error.",
    ["side", "outcome"],
    registry=REGISTRY,
)
WRITE_SECONDS = Histogram(
    "presencebridge_write_seconds",
    "How long a write to each side took, the reads around it included.",
    ["side"],
    registry=REGISTRY,
)
STATUS_IGNORED = Counter(
    "presencebridge_status_ignored",
    "Changes of a status that 3CX accepted and did not carry out, by the way they took.",
    ["way"],
    registry=REGISTRY,
)
CALL_EVENTS = Counter(
    "presencebridge_call_events",
    "Events of 3CX V20's websocket: changed, removed, nothing (to us), unreadable, gap (some were lost), "
    "missing (a read found what none had told).",
    ["kind"],
    registry=REGISTRY,
)
NOTIFICATIONS = Counter(
    "presencebridge_notifications",
    "Items of notifications: believed, or why not.",
    ["outcome"],
    registry=REGISTRY,
)
READS = Counter(
    "presencebridge_reads",
    "Reads of each side and what became of them.",
    ["side", "outcome"],
    registry=REGISTRY,
)
DRIFT = Counter(
    "presencebridge_drift",
    "Changes that a read found and no notification had told.",
    registry=REGISTRY,
)
POLL_INTERVAL = Gauge(
    "presencebridge_poll_interval_seconds",
    "At what interval everybody's presence is read, by now.",
    registry=REGISTRY,
)
LINK_UP = Gauge(
    "presencebridge_link_up", "1 while the link works, 0 while it does not.", ["link"], registry=REGISTRY
)
LAST_SEEN = Gauge(
    "presencebridge_last_seen_timestamp_seconds",
    "When each source was last heard of.",
    ["source"],
    registry=REGISTRY,
)
SUBSCRIPTION_END = Gauge(
    "presencebridge_subscription_end_timestamp_seconds",
    "When each watcher's presence subscription ends unless it is renewed.",
    ["watcher"],
    registry=REGISTRY,
)
PEOPLE = Gauge("presencebridge_people", "People by condition.", ["condition"], registry=REGISTRY)
