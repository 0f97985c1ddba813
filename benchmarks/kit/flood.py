"""Strangers' notifications, so many a second, until it is ended.

python flood.py URL RATE
"""

import asyncio
import contextlib
import json
import sys
import time

import httpx2

SENDERS = 16


async def main(url: str, rate: float) -> None:
    item = {"subscriptionId": "x", "clientState": "wrong", "encryptedContent": {"data": "A" * 2000}}
    body = json.dumps({"value": [item]}).encode()

    async def send(http: httpx2.AsyncClient, first: int) -> None:
        begun, number = time.monotonic(), first
        while True:
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            with contextlib.suppress(httpx2.TransportError):
                await http.post(url, content=body)
            number += SENDERS

    async with httpx2.AsyncClient(trust_env=False) as http, asyncio.TaskGroup() as tasks:
        for first in range(SENDERS):
            tasks.create_task(send(http, first))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
