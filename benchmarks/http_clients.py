"""What a request costs, by HTTP client, in CPU time and as a share of an RSA operation.

    python benchmarks/http_clients.py [ROUNDS]

A POST of some hundred bytes on kept connections, twenty at a time, to a server in another process that only
answers. aiohttp is none of ours, and is left out where it is not installed (`pip install aiohttp`). The
rounds of all of them alternate; told is the median, and the spread.
"""

import asyncio
import importlib.util
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import uvloop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from presencebridge.quick_http import QuickClient

KIT = Path(__file__).parent / "kit"
REQUESTS, AT_A_TIME = 1000, 20
BODY = b'{"sessionId":"00000000-0000-0000-0000-000000000000","availability":"Busy","activity":"InACall"}'
HEADERS = {"Authorization": "Bearer " + "t" * 1200, "Content-Type": "application/json"}

Ask = Callable[[], Awaitable[int]]


async def clients(url: str, stack: AsyncExitStack) -> dict[str, Ask]:
    """One request each, to its end."""
    quick = await stack.enter_async_context(QuickClient(url, ssl.create_default_context()))
    httpx = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, trust_env=False))

    async def by_quick() -> int:
        async with quick.stream("POST", "/", headers=HEADERS, content=BODY) as answer:
            async for _ in answer.aiter_bytes():
                pass
            return answer.status_code

    async def by_httpx() -> int:
        async with httpx.stream("POST", "/", headers=HEADERS, content=BODY) as answer:
            async for _ in answer.aiter_bytes():
                pass
            return answer.status_code

    found: dict[str, Ask] = {"quick_http": by_quick, "httpx2": by_httpx}
    if importlib.util.find_spec("aiohttp"):
        import aiohttp  # noqa: PLC0415 - none of ours

        session: Any = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))

        async def by_aiohttp() -> int:
            async with session.post(url, headers=HEADERS, data=BODY, allow_redirects=False) as answer:
                await answer.read()
                return int(answer.status)

        found["aiohttp"] = by_aiohttp
    return found


async def cost_us(ask: Ask) -> float:
    async def some() -> None:
        for _ in range(REQUESTS // AT_A_TIME):
            if await ask() != 202:
                raise SystemExit("the server says something else")

    begun = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_A_TIME):
            tasks.create_task(some())
    return (time.process_time() - begun) / REQUESTS * 1e6


def rsa_us(key: rsa.RSAPrivateKey, sealed: bytes, oaep: padding.OAEP) -> float:
    begun = time.process_time()
    for _ in range(200):
        key.decrypt(sealed, oaep)
    return (time.process_time() - begun) / 200 * 1e6


async def measured(url: str, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Costs of a request by client, in µs, and as shares of an RSA operation just before."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - Graph's choice
    sealed = key.public_key().encrypt(b"k" * 32, oaep)
    async with AsyncExitStack() as stack:
        asking = await clients(url.rstrip("/"), stack)
        costs: dict[str, list[float]] = {name: [] for name in asking}
        shares: dict[str, list[float]] = {name: [] for name in asking}
        for ask in asking.values():
            await cost_us(ask)  # warms what is to be warm
        for _ in range(rounds):
            operation = rsa_us(key, sealed, oaep)
            for name, ask in asking.items():
                costs[name].append(await cost_us(ask))
                shares[name].append(costs[name][-1] / operation)
    return costs, shares


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    bare = [sys.executable, str(KIT / "bare.py")]
    with subprocess.Popen(bare, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        try:
            url = msgspec.json.decode(server.stdout.readline())["url"]
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                costs, shares = runner.run(measured(url, rounds))
        finally:
            server.terminate()
    for name, found in costs.items():
        share = statistics.median(shares[name])
        print(
            f"{name:12} {statistics.median(found):6.0f} µs ({min(found):.0f} - {max(found):.0f}), "
            f"{share:.2f} of an RSA operation"
        )


if __name__ == "__main__":
    main()
