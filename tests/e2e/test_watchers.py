"""More than one account that owns presence subscriptions: the people are spread over them."""

import re

from e2e_sites import Site


def test_two_watchers_share_the_people_and_each_has_its_own_health(new_site) -> None:
    site: Site = new_site()
    text = site.config.read_text()
    site.config.write_text(text.replace("[teams.webhook]", '[teams.webhook]\nwatchers = ["one", "two"]'))
    site.add_person(3)
    site.sign_in("one", "watcher@example.org")
    site.sign_in("two", "second@example.org")
    site.start_service()
    lines = site.page("/readyz").text.splitlines()
    assert "subscription one: connected" in lines
    assert "subscription two: connected" in lines
    watched = [
        set(re.findall(r"'([^']+)'", one["resource"])) for one in site.ask_graph("GET", "/subscriptions")
    ]
    assert len(set().union(*watched)) == sum(map(len, watched)) == 3, watched
    for number in (1, 2, 3):
        site.client(number, "Busy/InAMeeting")
    for number in (1, 2, 3):
        site.until_status(number, "Away")
    assert site.command("login", "--watcher", "three").returncode == 2
