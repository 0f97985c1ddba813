"""Delivery by polling: no open port but the operator's, no signed-in account."""

from conftest import FREE


def test_polling_does_it_without_webhook_and_sign_in(new_site) -> None:
    site = new_site()
    text = site.config.read_text().replace('delivery = "webhook"', 'delivery = "poll"\npoll_every_s = 1')
    site.config.write_text(text)
    for kept in (site.folder / "state").iterdir():
        kept.unlink()
    site.start_service()
    assert "webhook" not in site.service.log
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    site.client(1, FREE)
    site.until_status(1, "Available")
    call = site.dial(2)
    site.until_teams(2, "Busy/InACall")
    site.hang_up(call)
    site.until_teams(2, FREE)
    assert not any("/subscriptions" in one["path"] for one in site.ask_graph("GET", "/requests"))
