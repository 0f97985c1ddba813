"""Metrics of several sites, told together."""

from prometheus_client.parser import text_string_to_metric_families

from presencebridge.metrics import Metrics, exposition


def test_each_sample_names_its_site_and_each_family_is_told_once() -> None:
    first, second = Metrics(), Metrics()
    first.events.labels("LegsSeen").inc(2)
    second.events.labels("LegsSeen").inc(3)
    second.write_seconds.labels("teams").observe(0.1)

    text = exposition({"berlin": first, 'a "quoted" one': second}).decode()

    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.labels["site"] in {"berlin", 'a "quoted" one'} for sample in samples)
    counted = {
        sample.labels["site"]: sample.value
        for sample in samples
        if sample.name == "presencebridge_events_total"
    }
    assert counted == {"berlin": 2.0, 'a "quoted" one': 3.0}
    buckets = [one for one in samples if one.name == "presencebridge_write_seconds_bucket"]
    assert {one.labels["site"] for one in buckets} == {'a "quoted" one'}


def test_a_site_counts_for_itself() -> None:
    first, second = Metrics(), Metrics()
    first.drift.labels("teams").inc()
    assert b"presencebridge_drift_total" in exposition({"second": second})
