import collections

from hypothesis import given
from hypothesis import strategies as st

from presencebridge.cluster.records import original, plain
from presencebridge.cluster.spreading import spread

names = st.sets(st.text("abcdefgh0123", min_size=1, max_size=6), max_size=40)
SITES = [f"site-{number}" for number in range(60)]


@given(names, names)
def test_every_site_has_a_home_and_no_node_more_than_its_share(sites: set[str], nodes: set[str]) -> None:
    home = spread(sites, nodes)
    if not nodes:
        assert not home
        return
    assert set(home) == sites
    load = collections.Counter(home.values())
    assert set(load) <= nodes
    assert max(load.values(), default=0) <= -(-len(sites) // len(nodes))


@given(names, names)
def test_it_does_not_matter_in_what_order_they_are_told(sites: set[str], nodes: set[str]) -> None:
    assert spread(sorted(sites), sorted(nodes)) == spread(sorted(sites)[::-1], sorted(nodes)[::-1])


def test_when_a_node_goes_few_sites_move_that_did_not_have_to() -> None:
    before, after = spread(SITES, ["a", "b", "c"]), spread(SITES, ["a", "b"])
    moved = [site for site in SITES if before[site] != after[site]]
    had_to = [site for site in SITES if before[site] == "c"]
    assert len(had_to) == 20
    assert len(moved) - len(had_to) <= 8


def test_when_a_node_comes_back_all_is_as_it_was() -> None:
    assert spread(SITES, ["a", "b", "c"]) == spread(SITES, ["c", "a", "b"])


@given(st.text(max_size=20), st.text(max_size=20))
def test_names_become_parts_of_keys_and_no_two_the_same(one: str, other: str) -> None:
    assert original(plain(one)) == one
    assert (plain(one) == plain(other)) == (one == other)
    assert all(char.isascii() and (char.isalnum() or char in "-_=") for char in plain(one))
