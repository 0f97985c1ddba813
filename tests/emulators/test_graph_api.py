"""What all calls have in common, users, batches, limits, faults and the control port."""

import asyncio
import gzip
import json

import httpx2
import pytest
from graph_bench import ANN, APP, BEN, START, WATCHER, bench, code, wanted

from presencebridge.emulators.clock import Clock
from presencebridge.emulators.world import User, World

CLIENT_ID = "99999999-9999-4999-8999-999999999999"


async def test_every_answer_carries_graphs_headers():
    async with bench() as b:
        graph = await b.as_app()
        graph.headers["client-request-id"] = CLIENT_ID
        answer = await graph.get(f"/users/{ANN.id}/presence")
        assert answer.headers["client-request-id"] == CLIENT_ID
        assert answer.headers["request-id"] != CLIENT_ID
        assert answer.headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
        assert answer.headers["content-type"].startswith("application/json;odata.metadata=minimal")
        error = (await graph.get("/users/nobody")).json()["error"]
        assert set(error) == {"code", "message", "innerError"}
        assert error["innerError"]["client-request-id"] == CLIENT_ID
        assert error["innerError"]["date"] == "2027-01-15T08:00:00"


async def test_beta_is_the_same():
    async with bench() as b:
        graph = await b.as_app()
        answer = await b.graph.get(f"/beta/users/{ANN.id}/presence", headers=graph.headers)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("$filter=userPrincipalName eq 'ann@example.org' or mail eq 'ann@example.org'", ["Ann"]),
        ("$filter=mail eq 'BEN.B@example.org'", ["Ben"]),
        ("$filter=mail eq 'nobody'", []),
        ("$filter=mail eq null", ["watcher"]),
        ("$filter=surname eq null and (id eq 'x' or displayName eq 'Ann')", ["Ann"]),
        ("$filter=userPrincipalName in ('ann@example.org', 'ben@example.org')", ["Ann", "Ben"]),
        ("", ["Ann", "Ben", "watcher"]),
    ],
)
async def test_users_are_found(query, names):
    async with bench() as b:
        graph = await b.as_app()
        answer = await graph.get(f"/users?{query}")
        assert answer.status_code == 200, answer.text
        assert [row["displayName"] for row in answer.json()["value"]] == names


@pytest.mark.parametrize(
    "query",
    [
        "$filter=startswith(mail,'a')",
        "$filter=mail ne 'a'",
        "$filter=mail eq",
        "$filter=(mail eq 'a'",
        "$filter=mail eq 'a' or",
        "$filter=colour eq 'red'",
        "$filter=mail eq 'a",
        "$select=colour",
        "$top=0",
        "$top=1000",
        "$top=x",
        "$expand=manager",
    ],
)
async def test_questions_that_are_not_understood(query):
    async with bench() as b:
        graph = await b.as_app()
        assert (await graph.get(f"/users?{query}")).status_code == 400


async def test_users_come_in_pages():
    users = tuple(User(f"u{number}@example.org") for number in range(25))
    async with bench(World(client_secret="a-secret", users=users)) as b:
        graph = await b.as_app()
        seen, pages = [], 0
        url = "/users?$top=10&$select=id,userPrincipalName&$count=true"
        while url:
            body = (await graph.get(url)).json()
            assert body["@odata.count"] == 25
            assert all(set(row) == {"id", "userPrincipalName"} for row in body["value"])
            seen += [row["userPrincipalName"] for row in body["value"]]
            pages += 1
            url = body.get("@odata.nextLink", "").removeprefix("https://graph.microsoft.com/v1.0")
        assert (seen, pages) == ([user.user_principal_name for user in users], 3)


async def test_one_user_and_me():
    async with bench() as b:
        graph = await b.as_app()
        row = (await graph.get("/users/ANN@example.org")).json()
        assert (row["id"], row["mail"], row["displayName"]) == (ANN.id, "ann@example.org", "Ann")
        assert "accountEnabled" not in row
        assert code(await graph.get("/users/nobody")) == (404, "Request_ResourceNotFound")
        assert code(await graph.get("/me")) == (400, "BadRequest")
        watcher = await b.as_user(scope="User.Read")
        assert (await watcher.get("/me?$select=id")).json()["id"] == WATCHER.id
        assert code(await watcher.get("/users")) == (403, "Authorization_RequestDenied")


async def test_a_batch_runs_its_requests():
    async with bench() as b:
        graph = await b.as_app()
        body = {"sessionId": APP, "availability": "Busy", "activity": "InACall"}
        url = f"/users/{ANN.id}/presence"
        requests = [
            {"id": "1", "method": "POST", "url": f"{url}/setPresence", "headers": {}, "body": body},
            {"id": "2", "method": "GET", "url": f"{url}?$select=activity"},
            {"id": "3", "method": "GET", "url": "/users/nobody/presence"},
            {"id": "4", "method": "GET", "url": url, "dependsOn": ["3"]},
            {"id": "5", "method": "GET", "url": url, "dependsOn": ["2"]},
        ]
        answer = await graph.post("/$batch", {"requests": requests})
        assert answer.status_code == 200
        by_id = {item["id"]: item for item in answer.json()["responses"]}
        assert [by_id[key]["status"] for key in "12345"] == [200, 200, 404, 424, 200]
        assert "body" not in by_id["1"]
        assert by_id["2"]["body"]["activity"] == "InACall"
        assert by_id["3"]["body"]["error"]["code"] == "Request_ResourceNotFound"


async def test_what_is_no_batch():
    async with bench() as b:
        graph = await b.as_app()
        one = {"id": "1", "method": "GET", "url": "/users"}
        full = [one | {"id": str(number)} for number in range(20)]
        assert (await graph.post("/$batch", {"requests": full})).status_code == 200
        for requests in ([*full, one | {"id": "x"}], [one, one], [{"id": "1"}], "x"):
            assert (await graph.post("/$batch", {"requests": requests})).status_code == 400
        held = {"requests": [one | {"dependsOn": ["9"]}]}
        assert (await graph.post("/$batch", held)).status_code == 400


async def test_presence_is_limited_by_application_and_tenant():
    async with bench() as b:
        graph = await b.as_app()
        path = "/communications/getPresencesByUserId"
        for _ in range(1500):
            assert (await graph.post(path, {"ids": []})).status_code == 200
        answer = await graph.post(path, {"ids": []})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) == 30
        error = answer.json()["error"]
        assert (error["code"], error["message"]) == ("TooManyRequests", "Please retry again later.")
        assert error["innerError"]["status"] == "429"
        assert (await graph.get("/users")).status_code == 200
        inside = {"requests": [{"id": "1", "method": "GET", "url": f"/users/{ANN.id}/presence"}]}
        batch = await graph.post("/$batch", inside)
        assert (batch.status_code, batch.json()["responses"][0]["status"]) == (200, 429)
        assert batch.json()["responses"][0]["headers"]["Retry-After"] == "30"
        await b.advance(30)
        assert (await graph.post(path, {"ids": []})).status_code == 200


async def test_listing_subscriptions_is_limited_and_limits_can_be_set():
    async with bench() as b:
        graph = await b.as_user()
        statuses = [(await graph.get("/subscriptions")).status_code for _ in range(26)]
        assert statuses == [200] * 25 + [429]
        await b.faults(limits={"presence": 2})
        statuses = [(await graph.get(f"/users/{ANN.id}/presence")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_who_keeps_to_retry_after_gets_through():
    async with bench() as b:
        graph = await b.as_app()
        await b.faults(limits={"presence": 2})
        path = f"/users/{ANN.id}/presence"
        await graph.get(path)
        await b.advance(10)
        await graph.get(path)
        refused = await graph.get(path)
        await b.advance(int(refused.headers["retry-after"]))
        assert (await graph.get(path)).status_code == 200


async def test_refusals_on_demand_are_counted_and_filtered_by_path():
    async with bench() as b:
        graph = await b.as_app()
        await b.faults(status={"code": 503, "count": 2, "retry_after_s": 7, "path": "/presence"})
        assert (await graph.get("/users")).status_code == 200
        answer = await graph.get(f"/users/{ANN.id}/presence")
        assert code(answer) == (503, "ServiceUnavailable")
        assert answer.headers["retry-after"] == "7"
        assert (await graph.get(f"/users/{ANN.id}/presence")).status_code == 503
        assert (await graph.get(f"/users/{ANN.id}/presence")).status_code == 200
        await b.faults(status=429)
        assert code(await graph.get("/users")) == (429, "TooManyRequests")
        await b.faults(status=None)
        assert (await graph.get("/users")).status_code == 200


@pytest.mark.looptime
async def test_latency_and_a_request_that_is_never_answered():
    async with bench(clock=Clock.of_loop(START)) as b:
        graph = await b.as_app()
        loop = asyncio.get_running_loop()
        await b.faults(latency_s=2.5)
        start = loop.time()
        await graph.get("/users")
        assert loop.time() - start == pytest.approx(2.5)
        await b.faults(latency_s=None, hang={"count": 1, "path": "/users"})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await graph.get("/users")
        assert (await graph.get("/users")).status_code == 200
        log = (await b.control.get("/requests")).json()
        assert [entry["status"] for entry in log[-2:]] == [None, 200]


async def test_a_write_may_be_done_and_its_answer_lost():
    async with bench() as b:
        graph = await b.as_app()
        await b.faults(drop_after_write={"count": 1})
        with pytest.raises(httpx2.RemoteProtocolError):
            await graph.set_presence(ANN, "Busy", "InACall")
        assert await b.shows(ANN) == "Busy/InACall"
        assert (await graph.get("/users")).status_code == 200


async def test_faults_are_shown_merged_and_reset():
    async with bench() as b:
        await b.faults(latency_s=0.5, notifications={"drop": 0.25})
        await b.faults(notifications={"delay_s": 3})
        shown = (await b.control.get("/faults")).json()
        assert (shown["latency_s"], shown["notifications"]["drop"]) == (0.5, 0.25)
        assert shown["notifications"]["delay_s"] == 3
        assert (await b.control.delete("/faults")).json()["latency_s"] == 0
        answer = await b.control.post("/faults", json={"latency": 1})
        assert answer.status_code == 400
        assert "known are latency_s" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "cure"),
    [
        ("PUT", "/users/ann@example.org/client", b"{", 400, "no JSON"),
        ("PUT", "/users/ann@example.org/client", b'{"availability":"Red"}', 400, "must be one of"),
        ("PUT", "/users/ann@example.org/client", b'{"availability":"Away","x":1}', 400, "known fields"),
        ("PUT", "/users/ann@example.org/client", b'{"availability":"Away","activity":"x"}', 400, "one of"),
        ("PUT", "/users/ann@example.org/preferred", b'{"availability":"Offline"}', 400, "one of"),
        ("PUT", "/users/nobody/client", b"null", 404, "world file"),
        ("GET", "/users/nobody", b"", 404, "world file"),
        ("GET", "/requests?since=x", b"", 400, "since"),
        ("POST", "/clock", b'{"advance_s":-1}', 400, "can't go back"),
        ("POST", "/clock", b"{}", 400, "advance_s"),
        ("POST", "/faults", b"[]", 400, "object"),
        ("POST", "/sign-ins/X/approve", b'{"username":"ann@example.org"}', 404, "pending"),
        ("POST", "/sign-ins/revoke", b'{"username":"nobody"}', 404, "world file"),
        ("GET", "/nothing", b"", 404, "not known"),
        ("PATCH", "/faults", b"{}", 405, "not known"),
    ],
)
async def test_the_control_port_names_the_cure(method, path, body, status, cure):
    async with bench() as b:
        answer = await b.control.request(method, path, content=body)
        assert answer.status_code == status
        assert cure in answer.json()["error"]
        assert answer.content.endswith(b"}\n")


async def test_requests_are_kept_until_they_are_cleared():
    async with bench() as b:
        graph = await b.as_app()
        await graph.set_presence(ANN, "Busy", "InACall")
        await graph.get("/users?$top=1")
        log = (await b.control.get("/requests?since=1")).json()
        assert log[0] == {
            "index": 1,
            "method": "POST",
            "path": f"/v1.0/users/{ANN.id}/presence/setPresence",
            "body": {
                "sessionId": APP,
                "availability": "Busy",
                "activity": "InACall",
                "expirationDuration": "PT1H",
            },
            "time": START,
            "status": 200,
            "answered": START,
        }
        assert log[1]["path"].startswith("/v1.0/users?")
        await b.control.delete("/requests")
        assert (await b.control.get("/requests")).json() == []
        await graph.get("/users")
        assert (await b.control.get("/requests")).json()[0]["index"] == 3


async def test_the_clock_is_shown_and_advanced():
    async with bench() as b:
        answer = (await b.control.post("/clock", json={"advance_s": 90})).json()
        assert answer == {"now": "2027-01-15T08:01:30.0000000Z", "advanced_s": 90}
        assert (await b.control.get("/clock")).json() == answer


async def test_the_same_seed_gives_the_same_run():
    async def run() -> list[str]:
        async with bench(seed=3) as b:
            await b.faults(notifications={"drop": 0.5})
            graph = await b.as_user()
            made = await graph.post("/subscriptions", wanted())
            for availability in ("Busy", "Away", "Available", "DoNotDisturb") * 5:
                await b.says(ANN, availability)
                for _ in range(100):
                    await asyncio.sleep(0)
            return [made.json()["id"], *(str(len(body["value"])) for body in b.subscriber.bodies)]

    first = await run()
    assert first == await run()
    assert 1 < len(first) < 21


async def test_leaving_the_emulator_ends_its_work_and_lets_errors_through():
    with pytest.raises(LookupError, match="mine"):  # noqa: PT012 - the block is what is tested
        async with bench() as b:
            await b.says(BEN, "Busy")
            raise LookupError("mine")
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_compressed_body_is_understood():
    """Microsoft's SDK for Go sends its bodies so."""
    async with bench() as b:
        graph = await b.as_app()
        body = json.dumps({"sessionId": APP, "availability": "Busy", "activity": "InACall"}).encode()
        headers = {**graph.headers, "Content-Encoding": "gzip", "Content-Type": "application/json"}
        path = f"/v1.0/users/{ANN.id}/presence/setPresence"
        answer = await b.graph.post(path, headers=headers, content=gzip.compress(body))
        assert answer.status_code == 200, answer.text
        assert (await b.control.get("/requests")).json()[-1]["body"]["availability"] == "Busy"
        assert (await b.graph.post(path, headers=headers, content=body)).status_code == 400


async def test_the_open_id_documents_need_no_token_and_unknown_pages_are_refused():
    async with bench() as b:
        assert (await b.graph.get("/common/discovery/v2.0/keys")).status_code == 200
        assert (await b.graph.get("/nothing/at/all")).status_code == 404
