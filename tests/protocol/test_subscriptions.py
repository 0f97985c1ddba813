"""What is to be done about a subscription, as a table; and who watches whom."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from presencebridge.graph.subscriptions import (
    ASK_AFTER_S,
    LIFE_S,
    RENEW_AFTER_S,
    Action,
    Held,
    Wanted,
    next_look,
    plan,
    share,
)

WANTED = Wanted(("ann", "ben"), "https://hook.example.org", "key1")
HELD = Held("s1", "secret", ("ann", "ben"), WANTED.url, "key1", expires_at=3600.0, renewed_at=0.0)


@pytest.mark.parametrize(
    ("held", "wanted", "now", "action"),
    [
        (None, WANTED, 0, Action.CREATE),
        (None, Wanted((), WANTED.url, "key1"), 0, Action.NOTHING),
        (HELD, Wanted((), WANTED.url, "key1"), 0, Action.DELETE),
        (HELD, WANTED, 0, Action.NOTHING),
        (HELD, WANTED, 299, Action.NOTHING),
        (HELD, WANTED, 300, Action.ASK),
        (replace(HELD, asked_at=300.0), WANTED, 301, Action.NOTHING),
        (replace(HELD, asked_at=300.0), WANTED, 600, Action.ASK),
        (HELD, WANTED, 1500, Action.RENEW),
        (HELD, WANTED, 3599, Action.RENEW),
        (HELD, WANTED, 3600, Action.CREATE),
        (HELD, WANTED, 9999, Action.CREATE),
        (replace(HELD, ids=("ben", "ann")), WANTED, 0, Action.NOTHING),
        (replace(HELD, ids=("ann",)), WANTED, 0, Action.REPLACE),
        (replace(HELD, ids=("ann", "ben", "cy")), WANTED, 0, Action.REPLACE),
        (replace(HELD, ids=()), WANTED, 0, Action.REPLACE),
        (replace(HELD, url="https://old.example.org"), WANTED, 0, Action.REPLACE),
        (replace(HELD, url="https://old.example.org"), WANTED, 3600, Action.CREATE),
        (replace(HELD, certificate_id="key0"), WANTED, 0, Action.RENEW),
        (replace(HELD, renewed_at=-1500.0), WANTED, 0, Action.RENEW),
    ],
)
def test_what_is_to_be_done(held, wanted, now, action):
    assert plan(held, wanted, now) is action


def test_a_renewal_leaves_time_for_two_more_before_the_end():
    assert 2 * RENEW_AFTER_S < LIFE_S
    assert LIFE_S <= 3600


@pytest.mark.parametrize(
    ("held", "when"),
    [
        (None, 100 + ASK_AFTER_S),
        (HELD, 300),
        (replace(HELD, asked_at=1400.0), 1500),
        (replace(HELD, asked_at=3590.0, renewed_at=3400.0), 3600),
    ],
)
def test_when_to_look_again(held, when):
    assert next_look(held, 100) == when


@settings(derandomize=True, database=None)
@given(
    st.floats(0, 4000), st.floats(0, 4000), st.floats(0, 4000), st.floats(1, 4000), st.sampled_from(["", "x"])
)
def test_whenever_there_is_nothing_to_do_the_next_look_is_ahead(now, renewed, asked, life, url):
    held = replace(HELD, renewed_at=renewed, asked_at=asked, expires_at=renewed + life)
    action = plan(held, replace(WANTED, url=WANTED.url + url), now)
    if action is Action.NOTHING:
        assert now < next_look(held, now) <= now + 4000 + ASK_AFTER_S


# Who watches whom ---------------------------------------------------------------------------------


def test_one_watcher_watches_everybody():
    assert share(("ben", "ann"), 1, 650) == [("ann", "ben")]


def test_nobody_is_watched_twice_or_not_at_all():
    ids = tuple(f"user-{number}" for number in range(1000))
    shares = share(ids, 3, 650)
    assert sorted(user for one in shares for user in one) == sorted(ids)
    assert max(map(len, shares)) <= 650


def test_full_shares_flow_over_into_the_others():
    ids = tuple(f"user-{number}" for number in range(1300))
    assert [len(one) for one in share(ids, 2, 650)] == [650, 650]


def test_who_comes_changes_one_share_only():
    ids = tuple(f"user-{number}" for number in range(900))
    before, after = share(ids, 3, 650), share((*ids, "newcomer"), 3, 650)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


def test_the_order_of_people_does_not_matter():
    ids = tuple(f"user-{number}" for number in range(50))
    assert share(ids, 3, 20) == share(ids[::-1], 3, 20)
