"""Who on 3CX is who in Entra: the rules one by one, and what holds whatever the lists say."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presencebridge.graph.wire import User
from presencebridge.pbx.answers import PbxUser
from presencebridge.runtime.matching import DOUBLE, How, Left, Matching, Named, Reason, in_words, match


def on_3cx(number: str, email: str = "", *, enabled: bool = True) -> PbxUser:
    return PbxUser(number, f"Name {number}", email, enabled)


def in_entra(name: str, mail: str | None = None, *further: str, **account: object) -> User:
    proxies = tuple(f"smtp:{address}" for address in further)
    return User(f"ID-{name}", f"{name}@example.org", mail, name.title(), proxy_addresses=proxies, **account)


ANN = in_entra("ann", "a.smith@example.org", "annie@example.org")
BEN = in_entra("ben", None, "support@example.org")


def found(*users: PbxUser, teams: tuple[User, ...] = (ANN, BEN), **config: object) -> Matching:
    return match(users, teams, config.get("named", ()), config.get("exclude", ()))


def pairs(matching: Matching) -> dict[str, str | None]:
    return {one.extension: one.user for one in matching.served}


def reasons(matching: Matching) -> dict[str, Reason]:
    return {one.extension: one.why for one in matching.left}


def others(matching: Matching) -> dict[str, tuple[str, ...]]:
    return {one.extension: one.others for one in matching.left}


# By which address ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "user", "how"),
    [
        ("a.smith@example.org", "id-ann", How.ADDRESS),
        ("ann@example.org", "id-ann", How.ADDRESS),
        ("annie@example.org", "id-ann", How.FURTHER),
        (" A.Smith@EXAMPLE.org ", "id-ann", How.ADDRESS),
        ("BEN@example.org", "id-ben", How.ADDRESS),
        ("Support@Example.Org", "id-ben", How.FURTHER),
    ],
)
def test_mail_principal_name_and_further_addresses_lead_to_a_user_whatever_the_case(email, user, how):
    (one,) = found(on_3cx("101", email)).served
    assert (one.extension, one.user, one.how) == ("101", user, how)
    assert one.teams == f"{user.removeprefix('id-')}@example.org"


def test_other_mails_are_further_addresses_and_other_protocols_are_none():
    ann = User(
        "1", "ann@x", other_mails=("ann@home",), proxy_addresses=("SIP:sip@x", "X500:/o=x", "SMTP:a@x")
    )
    assert ann.further == ("a@x", "ann@home")
    assert pairs(found(on_3cx("101", "ANN@home"), on_3cx("102", "sip@x"), teams=(ann,))) == {"101": "1"}


def test_whoever_can_not_be_found_is_told_why():
    told = found(
        on_3cx("101"),
        on_3cx("102", "nobody@example.org"),
        on_3cx("103", "ann@example.org", enabled=False),
        on_3cx("104", "  "),
    )
    assert told.served == ()
    assert reasons(told) == {
        "101": Reason.NO_ADDRESS,
        "102": Reason.UNKNOWN,
        "103": Reason.OFF_ON_3CX,
        "104": Reason.NO_ADDRESS,
    }


def test_a_blocked_account_and_a_guest_are_left_out():
    gone = in_entra("gone", account_enabled=False)
    guest = in_entra("guest", "g@elsewhere.example", user_type="Guest")
    unseen = User("id-x", "x_elsewhere.example#EXT#@example.onmicrosoft.com", "x@elsewhere.example")
    member = User(
        "id-y", "y_elsewhere.example#EXT#@example.onmicrosoft.com", "y@y.example", user_type="Member"
    )
    told = found(
        on_3cx("101", "gone@example.org"),
        on_3cx("102", "g@elsewhere.example"),
        on_3cx("103", "x@elsewhere.example"),
        on_3cx("104", "y@y.example"),
        teams=(gone, guest, unseen, member),
    )
    assert reasons(told) == {"101": Reason.DISABLED, "102": Reason.GUEST, "103": Reason.GUEST}
    assert others(told)["101"] == ("gone@example.org",)
    assert pairs(told) == {"104": "id-y"}


def test_an_address_left_on_a_blocked_account_belongs_to_the_one_who_works():
    old = in_entra("old", "ben@example.org", account_enabled=False)
    assert pairs(found(on_3cx("101", "ben@example.org"), teams=(old, BEN))) == {"101": "id-ben"}


# Who is double ------------------------------------------------------------------------------------


def test_two_extensions_with_one_address_match_nobody_and_name_each_other():
    told = found(
        on_3cx("101", "ann@example.org"), on_3cx("102", "ANN@example.org"), on_3cx("103", "ben@example.org")
    )
    assert pairs(told) == {"103": "id-ben"}
    assert reasons(told) == {"101": Reason.SHARED, "102": Reason.SHARED}
    assert others(told) == {"101": ("102",), "102": ("101",)}


def test_a_shared_address_is_double_even_if_nobody_in_entra_has_it():
    told = found(on_3cx("101", "door@example.org"), on_3cx("102", "door@example.org"))
    assert set(reasons(told).values()) == {Reason.SHARED}


def test_an_address_of_two_users_matches_nobody_and_names_both():
    carl = in_entra("carl", "ann@example.org")
    told = found(on_3cx("101", "ann@example.org"), teams=(ANN, carl))
    assert (told.served, reasons(told)) == ((), {"101": Reason.SEVERAL})
    assert others(told)["101"] == ("ann@example.org", "carl@example.org")
    dora = in_entra("dora", None, "annie@example.org")
    assert reasons(found(on_3cx("101", "annie@example.org"), teams=(ANN, dora))) == {"101": Reason.SEVERAL}


def test_a_users_own_address_is_before_the_same_one_as_another_users_further_address():
    dora = in_entra("dora", None, "ann@example.org", "a.smith@example.org")
    told = found(on_3cx("101", "ann@example.org"), teams=(dora, ANN))
    assert (pairs(told), told.left) == ({"101": "id-ann"}, ())


def test_two_extensions_that_lead_to_one_user_by_addresses_of_one_kind_match_nobody():
    told = found(on_3cx("101", "ann@example.org"), on_3cx("102", "a.smith@example.org"))
    assert (told.served, reasons(told)) == ((), {"101": Reason.CONTESTED, "102": Reason.CONTESTED})
    assert others(told) == {"101": ("102",), "102": ("101",)}


def test_the_extension_with_the_users_own_address_is_before_one_with_a_further_address():
    told = found(on_3cx("101", "annie@example.org"), on_3cx("102", "ann@example.org"))
    assert pairs(told) == {"102": "id-ann"}
    assert others(told) == {"101": ("ann@example.org", "102")}
    assert reasons(told) == {"101": Reason.TAKEN}


def test_a_further_address_does_not_win_because_two_others_are_double():
    told = found(
        on_3cx("101", "ann@example.org"), on_3cx("102", "ann@example.org"), on_3cx("103", "annie@example.org")
    )
    assert told.served == ()
    assert reasons(told) == {"101": Reason.CONTESTED, "102": Reason.CONTESTED, "103": Reason.CONTESTED}
    assert others(told)["103"] == ("101", "102")


def test_to_exclude_one_of_two_is_a_cure():
    users = on_3cx("101", "ann@example.org"), on_3cx("102", "ann@example.org")
    told = found(*users, exclude=["102"])
    assert (pairs(told), reasons(told)) == ({"101": "id-ann"}, {"102": Reason.EXCLUDED})
    carl = in_entra("carl", "ann@example.org")
    told = found(users[0], teams=(ANN, carl), exclude=["Carl@example.org"])
    assert pairs(told) == {"101": "id-ann"}


def test_a_user_who_comes_twice_in_the_pages_of_a_list_is_not_double():
    assert pairs(found(on_3cx("101", "ann@example.org"), on_3cx("101", "ann@example.org"))) == {
        "101": "id-ann"
    }
    assert pairs(found(on_3cx("101", "ann@example.org"), teams=(ANN, ANN))) == {"101": "id-ann"}


# Who is excluded ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["101", "Annie@Example.org", "ANN@example.org", "a.smith@example.org", "id-ANN"]
)
def test_exclude_takes_extensions_and_every_name_of_a_teams_user(word):
    told = found(on_3cx("101", "annie@example.org"), exclude=[word])
    assert (told.served, reasons(told), told.unused) == ((), {"101": Reason.EXCLUDED}, ())


def test_who_is_excluded_is_not_replaced_by_whoever_has_the_address_too():
    dora = in_entra("dora", None, "ann@example.org")
    told = found(on_3cx("101", "ann@example.org"), teams=(ANN, dora), exclude=["id-ann"])
    assert (told.served, reasons(told)) == ((), {"101": Reason.EXCLUDED})


def test_words_of_exclude_that_fit_nobody_are_told():
    told = found(on_3cx("101", "ann@example.org"), exclude=["110", "Bob@example.org", "ben@example.org"])
    assert told.unused == ("110", "Bob@example.org")


# Who is named by hand -----------------------------------------------------------------------------


def test_by_hand_wins_and_takes_both_sides_out_of_the_matching():
    users = (
        on_3cx("101", "ann@example.org"),
        on_3cx("102", "ben@example.org"),
        on_3cx("103", "annie@example.org"),
    )
    told = found(*users, named=[Named("102", "A.Smith@example.org")])
    assert pairs(told) == {"102": "id-ann"}
    (one,) = told.served
    assert (one.teams, one.name, one.how) == ("A.Smith@example.org", "Ann", How.BY_HAND)
    assert reasons(told) == {"101": Reason.TAKEN, "103": Reason.TAKEN}
    assert others(told)["101"] == ("ann@example.org", "102")


def test_by_hand_takes_guests_blocked_accounts_object_ids_and_extensions_of_any_kind():
    guest = in_entra("guest", user_type="Guest", account_enabled=False)
    named = [Named("900", "guest@example.org"), Named("901", "11111111-AAAA-4000-8000-000000000001")]
    told = found(teams=(guest,), named=named)
    assert pairs(told) == {"900": "id-guest", "901": "11111111-aaaa-4000-8000-000000000001"}
    assert told.left == ()


def test_somebody_named_by_hand_whom_entra_does_not_know_is_served_without_a_user_and_told():
    told = found(on_3cx("101", "ann@example.org"), named=[Named("101", "anne@example.org")])
    assert (pairs(told), told.matched) == ({"101": None}, 0)
    assert reasons(told) == {"101": Reason.NAME_UNKNOWN}


def test_a_principal_name_given_by_hand_is_before_somebodys_mail():
    carl = in_entra("carl", "ann@example.org")
    assert pairs(found(teams=(ANN, carl), named=[Named("101", "ann@example.org")])) == {"101": "id-ann"}
    twins = in_entra("t1", "twin@example.org"), in_entra("t2", "twin@example.org")
    assert reasons(found(teams=twins, named=[Named("101", "twin@example.org")])) == {"101": Reason.SEVERAL}


def test_one_user_named_twice_by_hand_is_with_the_first():
    told = found(named=[Named("101", "ann@example.org"), Named("102", "a.smith@example.org")])
    assert pairs(told) == {"101": "id-ann", "102": None}
    assert others(told) == {"102": ("ann@example.org", "101")}


@pytest.mark.parametrize("exclude", [[], ["102"], ["annie@example.org"], ["ann@example.org"], ["id-ann"]])
def test_somebody_excluded_who_is_named_by_hand_still_takes_both_sides(exclude):
    named = [Named("102", "ann@example.org", excluded=not exclude)]
    told = found(on_3cx("101", "ann@example.org"), on_3cx("102"), named=named, exclude=exclude)
    (one,) = told.served
    assert (one.extension, one.user, one.excluded) == ("102", None, True)
    assert reasons(told)["102"] is Reason.EXCLUDED
    assert reasons(told)["101"] in {Reason.TAKEN, Reason.EXCLUDED}


# In words -----------------------------------------------------------------------------------------


def test_every_reason_has_words_and_all_but_an_exclusion_a_cure():
    for why in Reason:
        what, cure = in_words(Left("101", "Ann", "ann@example.org", why, ("one@example.org", "102")))
        assert what
        assert "{" not in what + cure
        assert bool(cure) == (why is not Reason.EXCLUDED)
        assert what.startswith("double") == (why in DOUBLE)


def test_words_hold_no_more_of_an_address_than_a_person_reads():
    for why in Reason:
        what, _ = in_words(Left("101", "Eve", "e" * 20_000, why, ("o" * 20_000, "102" * 9_000)))
        assert len(what) < 700


def test_words_name_whom_it_is_about():
    told = found(on_3cx("101", "annie@example.org"), on_3cx("102", "ann@example.org"))
    assert in_words(told.left[0])[0] == "ann@example.org is with extension 102 already"


# Whatever the lists say ---------------------------------------------------------------------------

WORDS = st.sampled_from([f"{name}@x" for name in "abcdef"] + ["A@X", " b@x "])
PBX = st.lists(
    st.builds(
        PbxUser,
        st.integers(100, 112).map(str),
        st.just("N"),
        st.one_of(st.just(""), WORDS),
        st.sampled_from([True, True, True, False]),
    ),
    max_size=10,
    unique_by=lambda user: user.number,
)
TEAMS = st.lists(
    st.builds(
        User,
        st.integers(1, 9).map(lambda n: f"ID{n}"),
        WORDS,
        st.one_of(st.none(), WORDS),
        st.just("D"),
        st.lists(WORDS, max_size=2).map(tuple),
        st.just(()),
        st.sampled_from([True, None, False]),
        st.sampled_from(["Member", "Guest", None]),
    ),
    max_size=7,
    unique_by=lambda user: user.id,
)
NAMED = st.lists(
    st.builds(Named, st.integers(100, 112).map(str), WORDS, st.booleans()),
    max_size=3,
    unique_by=lambda one: one.extension,
)
EXCLUDE = st.lists(st.one_of(WORDS, st.integers(100, 112).map(str), st.just("id3")), max_size=3)
SITES = st.tuples(PBX, TEAMS, NAMED, EXCLUDE)
thoroughly = settings(derandomize=True, deadline=None, database=None, max_examples=200)


@thoroughly
@given(SITES)
def test_nobody_is_there_twice_and_everybody_is_there_once(site):
    pbx, _, named, _ = site
    told = match(*site)
    users = [one.user for one in told.served if one.user]
    assert len(set(users)) == len(users)
    served, left = [one.extension for one in told.served], [one.extension for one in told.left]
    assert len(set(served)) == len(served)
    assert len(set(left)) == len(left)
    assert {*served, *left} == {*(user.number for user in pbx), *(one.extension for one in named)}
    paired = {one.extension for one in told.served if one.user}
    assert paired.isdisjoint(left)


@thoroughly
@given(SITES)
def test_who_is_matched_by_address_may_be_and_has_the_address(site):
    pbx, teams, named, exclude = site
    numbers, ids = {user.number: user for user in pbx}, {user.id.casefold(): user for user in teams}
    words = {word.strip().casefold() for word in exclude}
    for one in match(*site).served:
        if one.how is How.BY_HAND or one.user is None:
            continue
        user, account = numbers[one.extension], ids[one.user]
        names = (account.user_principal_name, account.mail or "", *account.further)
        assert user.email.strip().casefold() in {name.strip().casefold() for name in names}
        assert user.enabled
        assert account.enabled
        assert not account.guest
        assert words.isdisjoint({one.extension, one.user, *(name.strip().casefold() for name in names)})
        assert one.extension not in {hand.extension for hand in named}
        same = [other for other in pbx if other.enabled and other.number not in words]
        rivals = [u for u in same if u.email.strip().casefold() == user.email.strip().casefold()]
        rivals = [u for u in rivals if u.number not in {hand.extension for hand in named}]
        assert rivals == [user]


@thoroughly
@given(SITES, st.integers(0, 1000))
def test_the_order_of_the_lists_does_not_matter(site, seed):
    pbx, teams, named, exclude = site
    shuffled = [[*pbx], [*teams]]
    for one in shuffled:
        random.Random(seed).shuffle(one)  # noqa: S311 - an order, no secret
    a, b = match(*site), match(*shuffled, named, exclude)
    assert (a.served, a.left) == (b.served, b.left)


def in_capitals(user: User) -> User:
    return User(
        user.id.swapcase(),
        user.user_principal_name.upper(),
        user.mail and user.mail.upper(),
        user.display_name,
        tuple(mail.title() for mail in user.other_mails or ()),
        (),
        user.account_enabled,
        user.user_type,
    )


@thoroughly
@given(SITES)
def test_case_does_not_matter(site):
    pbx, teams, named, exclude = site
    loud = match(
        [PbxUser(user.number, user.name, user.email.upper(), user.enabled) for user in pbx],
        [in_capitals(user) for user in teams],
        [Named(one.extension, one.teams.upper(), one.excluded) for one in named],
        [word.swapcase() for word in exclude],
    )
    quiet = match(*site)
    assert pairs(loud) == pairs(quiet)
    assert reasons(loud) == reasons(quiet)


@thoroughly
@given(SITES)
def test_to_leave_out_who_is_excluded_changes_nobody_else(site):
    pbx, teams, named, exclude = site
    told = match(*site)
    gone = {extension for extension, why in reasons(told).items() if why is Reason.EXCLUDED}
    gone -= {one.extension for one in named}
    rest = match([user for user in pbx if user.number not in gone], teams, named, exclude)
    assert pairs(rest) == pairs(told)
    assert reasons(rest) == {ext: why for ext, why in reasons(told).items() if ext not in gone}
