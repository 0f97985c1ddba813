"""Three NATS servers on loopback, which can be killed, frozen and started again."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

BINARY = Path(sys.executable).parent / "nats-server"
_READY_WITHIN_S = 30.0
_given: list[int] = []


MakeConfig = Callable[[int, list[int], list[int], Path], str]


def _simple(number: int, ports: list[int], routes: list[int], folder: Path) -> str:
    urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    return f"""
        listen: "127.0.0.1:{ports[number]}"
        server_name: "server{number}"
        jetstream {{ store_dir: "{folder}/{number}", max_memory_store: 64M, max_file_store: 900G }}
        cluster {{
            name: "test", listen: "127.0.0.1:{routes[number]}", routes: [{urls}], no_advertise: true
        }}
        """


class NatsServers:
    """`config` makes the config of each, from its number, the ports for clients, for routes, and a folder."""

    def __init__(self, folder: Path, config: "MakeConfig | None" = None, count: int = 3) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(2 * count)
        self.client_ports, routes = ports[:count], ports[count:]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        for number in range(count):
            made = (config or _simple)(number, self.client_ports, routes, folder)
            (folder / f"{number}.conf").write_text(made)

    @property
    def urls(self) -> list[str]:
        return [f"nats://127.0.0.1:{port}" for port in self.client_ports]

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process is not None]

    def start(self, number: int) -> None:
        config, log = self._folder / f"{number}.conf", self._folder / f"{number}.log"
        self._processes[number] = subprocess.Popen([BINARY, "-c", config, "-l", log])

    def start_all(self) -> None:
        for number in range(len(self._processes)):
            self.start(number)

    def kill(self, number: int) -> None:
        process = self._processes[number]
        assert process is not None
        process.kill()
        process.wait()
        self._processes[number] = None

    def freeze(self, number: int) -> None:
        process = self._processes[number]
        assert process is not None
        process.send_signal(signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        process = self._processes[number]
        assert process is not None
        process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in self._processes:
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def ready(self) -> None:
        """Wait until they have found together and elected somebody."""
        import nats  # noqa: PLC0415

        deadline = time.monotonic() + _READY_WITHIN_S
        while True:
            with contextlib.suppress(Exception):
                client = await nats.connect(
                    self.urls, allow_reconnect=False, connect_timeout=1, error_cb=_quiet
                )
                try:
                    await client.jetstream(timeout=1).account_info()
                    return
                finally:
                    await client.close()
            assert time.monotonic() < deadline, "the NATS servers do not find together"
            await asyncio.sleep(0.05)


async def _quiet(_error: Exception) -> None:
    pass


@contextlib.contextmanager
def nats_servers(folder: Path, config: MakeConfig | None = None) -> Iterator[NatsServers]:
    servers = NatsServers(folder, config)
    servers.start_all()
    try:
        yield servers
    finally:
        servers.stop()


def free_ports(count: int) -> list[int]:
    """Below the range that the system gives from: nobody takes them meanwhile."""
    # Processes that were started one after the other begin far from each other: they look at the same moment.
    first = 15_000 + os.getpid() * 37 % 80 * 200
    ports: list[int] = []
    # Whoever was given one may not listen there yet.
    for port in range(max([first, *_given]) + 1, 32_000):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("", port))  # at none of the addresses that are this machine's
            ports.append(port)
        if len(ports) == count:
            _given.extend(ports)
            return ports
    raise RuntimeError("no free ports")
