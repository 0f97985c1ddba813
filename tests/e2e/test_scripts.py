"""The jobs of the three old shell scripts, done with our commands; Graph receives what its documents say."""

import json
import re

from e2e_programs import until
from e2e_sites import APP, FREE, Site

USER = "00000000-0000-0000-0000-000000000101"


def _written(site: Site) -> list[tuple[str, str, object]]:
    requests = site.ask_graph("GET", "/requests")
    return [
        (one["method"], one["path"], one["body"])
        for one in requests
        if "/presence/" in one["path"] or "/subscriptions" in one["path"]
    ]


def test_set_get_and_clear_a_presence(new_site) -> None:
    site = new_site()
    said = site.command("teams", "set", "101", "busy", "--for", "2h")
    assert said.returncode == 0, said.stderr
    assert site.teams(1) == "Busy/InACall"
    assert site.command("teams", "get", "user1@example.org").stdout == "Busy/InACall\n"
    assert site.command("teams", "clear", "ann@example.org").returncode == 0
    assert site.command("teams", "get", USER).stdout == f"{FREE}\n"
    assert site.command("teams", "clear", "101").returncode == 0, "clearing what is not there is no error"
    assert _written(site) == [
        (
            "POST",
            f"/v1.0/users/{USER}/presence/setPresence",
            {"sessionId": APP, "availability": "Busy", "activity": "InACall", "expirationDuration": "PT2H"},
        ),
        ("POST", f"/v1.0/users/{USER}/presence/clearPresence", {"sessionId": APP}),
        ("POST", f"/v1.0/users/{USER}/presence/clearPresence", {"sessionId": APP}),
    ]


def test_every_word_for_a_presence_is_one_that_graph_takes(new_site) -> None:
    site = new_site()
    for word in ("busy", "dnd", "away", "available"):
        assert site.command("teams", "set", "101", word).returncode == 0
        assert site.command("teams", "set", "101", word, "--preferred", "--for", "8h").returncode == 0
    assert site.command("teams", "clear", "101", "--preferred").returncode == 0


def test_an_unknown_person_and_a_wrong_duration_are_told_with_their_cure(new_site) -> None:
    site = new_site()
    said = site.command("teams", "get", "nobody@example.org")
    assert (said.returncode, "nobody@example.org" in said.stderr) == (1, True)
    said = site.command("teams", "set", "101", "busy", "--for", "9h")
    assert said.returncode == 2
    assert "5m to 4h" in said.stderr


def test_the_subscription_by_hand(site: Site) -> None:
    listed = site.command("teams", "subscriptions", "list").stdout
    assert len(listed.splitlines()) == 1
    assert "2 people" in listed
    subscription = listed.split()[0]
    said = site.command("teams", "subscriptions", "create")
    assert said.returncode == 1
    assert "renew, or delete" in said.stderr
    assert site.command("teams", "subscriptions", "renew").returncode == 0
    assert site.command("teams", "subscriptions", "renew", subscription, "--reauthorize").returncode == 0
    assert (
        site.command("teams", "subscriptions", "delete", subscription).stdout == f"{subscription}: deleted\n"
    )
    asked = [(method, path.split("/subscriptions")[1]) for method, path, _ in _written(site)]
    assert ("PATCH", f"/{subscription}") in asked
    assert ("POST", f"/{subscription}/reauthorize") in asked
    assert ("DELETE", f"/{subscription}") in asked


def test_the_subscription_is_made_as_documented(site: Site) -> None:
    *_, made = [
        body for method, path, body in _written(site) if (method, path) == ("POST", "/v1.0/subscriptions")
    ]
    assert isinstance(made, dict)
    assert made["changeType"] == "updated"
    assert made["resource"].startswith("/communications/presences?$filter=id in ('")
    assert made["resource"].count("00000000-0000-0000-0000-") == 2
    assert made["includeResourceData"] is True
    assert made["notificationUrl"] == made["lifecycleNotificationUrl"]
    assert 20 <= len(made["clientState"]) <= 128
    assert made.keys() == {
        "changeType", "notificationUrl", "lifecycleNotificationUrl", "resource", "expirationDateTime",
        "includeResourceData", "encryptionCertificate", "encryptionCertificateId", "clientState",
    }  # fmt: skip


def test_3cx_by_hand(new_site) -> None:
    site = new_site()
    assert site.command("pbx", "get", "101").stdout == "Available\n"
    assert site.command("pbx", "set", "101", "oof").stdout == "101: Out of office\n"
    assert site.status(1) == "Out of office"
    assert site.command("pbx", "calls").stdout == "no calls\n"
    site.dial(1, "Ringing")
    assert "101  Ringing" in site.command("pbx", "calls").stdout
    said = site.command("pbx", "get", "999")
    assert said.returncode == 1
    assert "extension 999" in said.stderr


def test_watching_and_asking_why(site: Site) -> None:
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    until("why tells it", lambda: "it is ours until Teams is free" in site.command("why", "101").stdout)
    said = site.command("why", "user1@example.org").stdout
    assert re.search("Teams was (notified|read): Busy/InAMeeting", said), "a read may be first"
    assert "Teams became busy (rule 1)" in said
    assert site.command("why", "nobody").returncode == 1
    overview = json.loads(site.command("status", "--as-json").stdout)
    assert overview["ready"] is True


def test_dry_run_decides_and_writes_nothing(new_site) -> None:
    site = new_site()
    site.service.arguments = (*site.service.arguments, "--dry-run")
    site.start_service()
    site.client(1, "Busy/InAMeeting")
    call = site.dial(2)
    until("decided", lambda: "3CX Away" in site.holding(1) and "Busy/InACall" in site.holding(2))
    assert site.status(1) == "Available"
    assert site.teams(2) == FREE
    assert _written(site) == []
    assert not any("/setstatus" in one["path"] for one in site.ask_pbx("GET", "/requests"))
    assert "Dry run" in site.page("/").text
    site.hang_up(call)


def test_a_service_that_does_not_run_is_told_with_its_cure(new_site) -> None:
    site = new_site()
    said = site.command("status")
    assert said.returncode == 1
    assert "presencebridge run" in said.stderr


def test_nothing_secret_is_in_the_log_or_on_the_page(site: Site) -> None:
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    secrets = ["s3cret"]
    for one in site.ask_graph("GET", "/subscriptions"):
        secrets.append(one["clientState"])
    for kept in (site.folder / "state").glob("watcher-*.json"):
        assert kept.stat().st_mode & 0o077 == 0
        tokens = json.loads(kept.read_text())
        secrets += [
            entry["secret"] for kind in ("AccessToken", "RefreshToken") for entry in tokens[kind].values()
        ]
    shown = "".join(
        site.page(path).text for path in ("/", "/metrics", "/api/people", "/api/people/101", "/readyz")
    )
    for secret in secrets:
        assert secret not in shown
        assert secret not in site.service.log
    assert "user1" not in site.page("/metrics").text
