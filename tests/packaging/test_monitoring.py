"""Alert rules and dashboard: they load, and everything they name exists."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Histogram

from presencebridge.cli.main import app
from presencebridge.metrics import all_declared

HERE = Path(__file__).parent
PACKAGING = HERE.parents[1] / "packaging"
RULES = PACKAGING / "prometheus" / "presencebridge.rules.yml"
DASHBOARD = json.loads((PACKAGING / "grafana" / "presencebridge.json").read_text("utf-8"))
ALERTS = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]

# promtool is Prometheus' own checker.
with_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool isn't here")


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def panels() -> list[dict[str, Any]]:
    return [one for one in DASHBOARD["panels"] if one["type"] != "row"]


def expressions() -> list[str]:
    """All of the dashboard, with Grafana's own words filled in."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [text.replace("$__rate_interval", "5m").replace("$site", "berlin") for text in found]


def names() -> dict[str, set[str]]:
    """Each series that there can be, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in all_declared():
        labels = {"site", "instance", "job", *metric._labelnames}
        if isinstance(metric, Counter):
            found[f"{metric._name}_total"] = labels
        elif isinstance(metric, Histogram):
            found |= {f"{metric._name}_bucket": labels | {"le"}}
            found |= {f"{metric._name}_{end}": labels for end in ("sum", "count")}
        else:
            found[metric._name] = labels
    return found


def used(text: str) -> set[str]:
    return set(re.findall(r"\bpresencebridge_\w+", text))


@with_promtool
def test_the_rules_load() -> None:
    promtool("check", "rules", str(RULES))


@with_promtool
def test_each_alert_comes_when_it_should_and_not_before() -> None:
    promtool("test", "rules", str(HERE / "presencebridge.rules.test.yml"))


def test_each_alert_is_tried_both_ways() -> None:
    tests = yaml.safe_load((HERE / "presencebridge.rules.test.yml").read_text("utf-8"))["tests"]
    tried = [one for test in tests for one in test["alert_rule_test"]]
    loud = {one["alertname"] for one in tried if one.get("exp_alerts")}
    quiet = {one["alertname"] for one in tried if not one.get("exp_alerts")}
    assert loud == quiet == {alert["alert"] for alert in ALERTS}


@with_promtool
def test_each_expression_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "panels.yml"))


@pytest.mark.parametrize("text", [*expressions(), *(alert["expr"] for alert in ALERTS)])
def test_every_metric_and_label_that_is_named_exists(text: str) -> None:
    known = names()
    assert used(text) <= set(known), text
    labels = set().union(*(known[name] for name in used(text)), {"job", "instance"})
    for words in re.findall(r"by \(([^)]*)\)", text):
        assert set(re.split(r",\s*", words)) <= labels, words
    for word in re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)\"", text):
        assert word in labels, word


def test_whatever_is_measured_is_shown_somewhere() -> None:
    shown = used(" ".join([*expressions(), *(alert["expr"] for alert in ALERTS)]))
    for metric in all_declared():
        assert any(name.startswith(metric._name) for name in shown), metric._name


def test_the_words_of_the_alerts_are_whole() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["annotations"].keys() == {"summary", "description"}
        for command in re.findall(r"presencebridge ([a-z]+)", alert["annotations"]["description"]):
            assert command in set(app), command


def test_the_dashboard_has_the_shape_that_grafana_takes() -> None:
    assert DASHBOARD["uid"]
    assert DASHBOARD["title"]
    assert DASHBOARD["schemaVersion"] >= 36
    assert "id" not in DASHBOARD  # it would replace whatever has that number
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["site"]["definition"] == "label_values(presencebridge_in_step, site)"
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["title"], panel["id"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(references) == len(set(references))
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert 'site=~"$site"' in target["expr"]


def test_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_documents_say_what_to_do_about_each_alert() -> None:
    text = (PACKAGING.parent / "docs" / "operate.md").read_text("utf-8")
    assert set(re.findall(r"`(Presencebridge\w+)`", text)) == {alert["alert"] for alert in ALERTS}
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert yaml.safe_load(block)["scrape_configs"][0]["job_name"] == "presencebridge"
