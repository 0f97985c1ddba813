"""Three nodes, three NATS servers, people living their day: the quick version of `benchmarks/cluster.py`."""

import asyncio
import signal
import time
from pathlib import Path

import pytest
from nats_kit import nats_servers
from trial_of_nodes import Node, Trial

from presencebridge.cluster.files import new_key

pytestmark = pytest.mark.timeout(600)

LEASE_S = 3.0


async def test_nodes_and_servers_die_freeze_and_leave_and_nobody_ends_wrong(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "nats") as servers:
        trial = Trial(tmp_path, servers, sites=6, people=2, lease_s=LEASE_S)
        async with trial.set_up():
            for node in trial.nodes:
                node.start()
            await trial.everybody_is_served()
            await trial.at_rest()
            async with trial.people_live(4.0):
                # A node and the server that leads, both at once.
                trial.nodes[0].kill()
                leader = await trial.leader()
                servers.kill(leader)
                await trial.everybody_is_served(nodes=2)
                # One that is frozen until long after its sites have gone to others.
                trial.nodes[1].send(signal.SIGSTOP)
                trial.nodes[0].start()
                servers.start(leader)
                await trial.everybody_is_served(nodes=2)
                trial.nodes[1].send(signal.SIGCONT)
                await trial.everybody_is_served()
                # One that can't reach NATS, and Teams and 3CX it can.
                trial.nodes[2].cut_off(True)
                await trial.everybody_is_served(nodes=2)
                trial.nodes[2].cut_off(False)
                await trial.everybody_is_served()
                # One that is told to go.
                begun, said = time.time(), [len(node.said) for node in trial.nodes]
                trial.nodes[0].send(signal.SIGTERM)
                assert await trial.nodes[0].ended() == 0
                await trial.everybody_is_served(nodes=2)
                gaps = trial.gaps_since(begun, {0})
            await trial.at_rest()
            assert len(gaps) == 2
            left, *others = (node.said[length:] for node, length in zip(trial.nodes, said, strict=True))
            assert left.count('"site handed over"') == 2
            assert not any("ended for its silence" in one for one in others), "nobody waited for a lease"
            assert trial.foreign_writes() == []
            assert await trial.lost_notices() == []
            assert sum(map(len, trial.accepted.values())) > 10
            assert len(trial.writes) > 10


async def test_what_an_operator_asks_and_does_is_told_and_done_on_any_node(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "nats") as servers:
        trial = Trial(tmp_path, servers, sites=4, people=1, lease_s=LEASE_S)
        async with trial.set_up(signed_in=False):
            for node in trial.nodes[:2]:
                node.start()
            await trial.everybody_is_served(nodes=2)
            shown = (await trial.command("cluster", "show")).splitlines()
            assert [line.partition(", version")[0] for line in shown[:2]] == [
                "node node0: here, 2 sites",
                "node node1: here, 2 sites",
            ]
            owners = dict(line.removeprefix("site ").partition(",")[0].split(": ") for line in shown[2:])
            assert sorted(owners) == list(trial.sites)
            away = next(site for site, node in owners.items() if node == "node1")
            # Signed in on the one node's machine, and used by the other one, which owns the site.
            assert "is signed in as" in await trial.login(away)
            assert not list((tmp_path / "node0" / "state").rglob("watcher-*"))
            link = f'"site": "{away}"'
            await trial.until(
                "its subscription is there",
                lambda: any(
                    link in line and '"subscription default", "state": "connected"' in line
                    for line in trial.nodes[1].said.splitlines()
                ),
            )
            # The page and `status` of a node show what runs there, and small where the others run.
            async with asyncio.timeout(60):
                while f"site {away}: on node1" not in (said := await trial.command("status")):
                    await asyncio.sleep(0.5)
            assert "node node0 (this one): 2 sites" in said
            assert "node node1: 2 sites" in said
            page = (await trial.http.get(f"http://127.0.0.1:{trial.nodes[0].page_port}/")).text
            assert "node0 (this one) 2 · node1 2" in page
            assert f"{away} → node1" in page


async def test_a_notification_is_taken_in_by_any_node_and_refused_without_the_engine(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "nats") as servers:
        trial = Trial(tmp_path, servers, sites=1, people=1, lease_s=LEASE_S)
        async with trial.set_up():
            for node in trial.nodes[:2]:
                node.start()
            await trial.until("somebody serves", lambda: bool(trial.last_asked))
            await trial.until("both listen", lambda: all("webhook" in one.said for one in trial.nodes[:2]))

            async def answers() -> list[int]:
                url, body = "http://127.0.0.1:{}/hook/site01", trial.notification("site01", "1")
                posts = [trial.http.post(url.format(one.hook_port), content=body) for one in trial.nodes[:2]]
                return [answer.status_code for answer in await asyncio.gather(*posts)]

            async with asyncio.timeout(30):
                while await answers() != [202, 202]:
                    await asyncio.sleep(0.2)
            for number in range(3):
                servers.kill(number)
            trial.http.timeout = 20.0
            assert await answers() == [503, 503]


async def test_a_node_with_another_cluster_key_takes_no_part_and_says_why(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "nats") as servers:
        trial = Trial(tmp_path, servers, sites=2, people=1, lease_s=LEASE_S)
        async with trial.set_up():
            right, wrong, _ = trial.nodes
            key = right.folder / "cluster-key"
            right.start()
            await trial.until("the right one serves", lambda: len(trial.last_asked) == 2)
            (wrong.folder / "cluster-key").write_text(new_key())
            wrong.start()
            await trial.until("it is told", lambda: "cluster key does not fit" in wrong.said)

            async def answer(node: Node) -> int:
                url = f"http://127.0.0.1:{node.hook_port}/hook/site01"
                return (await trial.http.post(url, content=trial.notification("site01", "1"))).status_code

            assert await answer(wrong) == 503, "whoever asks tries another node"
            assert await answer(right) == 202
            metrics = (await trial.http.get(f"http://127.0.0.1:{wrong.page_port}/metrics")).text
            assert 'presencebridge_notifications_refused_total{reason="no_part",site="site01"}' in metrics
            assert 'presencebridge_node_takes_part{site="site01"} 0.0' in metrics
            metrics = (await trial.http.get(f"http://127.0.0.1:{right.page_port}/metrics")).text
            assert 'presencebridge_site_has_node{site="site01"} 1.0' in metrics
            ready = await trial.http.get(f"http://127.0.0.1:{wrong.page_port}/readyz")
            assert ready.status_code == 503
            assert "cluster key does not fit" in ready.text
            assert "cure: copy the file" in ready.text
            (key.parent / "kept").write_text(key.read_text())
            for of, fits in ((wrong, False), (right, True)):
                key.write_text((of.folder / ("kept" if of is right else "cluster-key")).read_text())
                shown = await trial.command("cluster", "show")
                assert ("key: the cluster key does not fit" in shown) is not fits
                assert "node node1" not in shown, "it has not joined"
            (wrong.folder / "cluster-key").write_text(key.read_text())
            await trial.everybody_is_served(nodes=2)
            assert await answer(wrong) == 202
            async with asyncio.timeout(60):
                while not (await trial.http.get(f"http://127.0.0.1:{wrong.page_port}/readyz")).is_success:
                    await asyncio.sleep(0.2)
            # The key is lost, and a new one is to be used.
            key.write_text(new_key())
            assert "seals with this machine's key from now on" in await trial.command("cluster", "rekey")
            await trial.until("the other one has none", lambda: wrong.said.count("does not fit") == 2)
            assert await answer(wrong) == 503
            await trial.until("the one with the new key serves", lambda: right.said.count("site taken") >= 3)
