"""Notifications as fast as they are answered, over connections that stay; how many were answered with a yes.

python senders.py CONNECTIONS SECONDS < requests

Each line of the input is a JSON object: the port of a node, a path and a body, in which NUMBER is another one
each time. It does as little as can be done, so that what is measured is the nodes and not the sender.
"""

import asyncio
import itertools
import json
import os
import sys
import time


async def main(connections: int, seconds: float, requests: list[tuple[int, bytes, bytes]]) -> None:
    ports = sorted({port for port, _, _ in requests})
    numbers = itertools.count()
    end = time.monotonic() + seconds
    taken_in = refused = 0

    async def send(port: int) -> None:
        nonlocal taken_in, refused
        mine = itertools.cycle([request for request in requests if request[0] == port])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            _, head, body = next(mine)
            whole = body.replace(b"NUMBER", b"%d-%d" % (os.getpid(), next(numbers)))
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(whole) + whole)
            answer = await reader.readuntil(b"\r\n\r\n")
            if answer.startswith(b"HTTP/1.1 2"):
                taken_in += 1
            else:
                refused += 1
        writer.close()

    begun = time.monotonic()
    await asyncio.gather(*(send(ports[number % len(ports)]) for number in range(connections)))
    took = time.monotonic() - begun
    print(json.dumps({"taken_in": taken_in / took, "refused": refused / took}))


def request(line: str) -> tuple[int, bytes, bytes]:
    found = json.loads(line)
    head = f"POST {found['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return found["port"], head.encode(), found["body"].encode()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), [request(line) for line in sys.stdin]))
