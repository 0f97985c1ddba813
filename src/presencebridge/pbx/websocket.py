"""I/O: opens the websocket of 3CX V20."""

import ssl
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from presencebridge.pbx import v20
from presencebridge.pbx.v20_calls import SOCKET_PATH
from presencebridge.pbx.v20_feed import Dial, Socket, SocketEnded
from presencebridge.unreachable import unreachable

_LONGEST_MESSAGE: Final = 1_000_000
_PING_EVERY_S: Final = 20.0
"""Keeps what lies between from forgetting the connection. No answer is waited for: whether every version
gives one is not known, and a socket that tells nothing is found by what the whole reads find."""
_CLOSE_WITHIN_S: Final = 1.0


def websocket_dial(url: str, tls: ssl.SSLContext, timeout_s: float, *, use_proxy: bool) -> Dial:
    """Opens sockets to the PBX at `url` (http or https)."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    address = f"{'wss' if is_secure else 'ws'}://{parts.netloc}{SOCKET_PATH}"

    async def dial(token: str) -> Socket:
        try:
            connection = await _Connect(
                address,
                additional_headers={"Authorization": f"Bearer {token}"},
                ssl=tls if is_secure else None,
                proxy=True if use_proxy else None,
                open_timeout=timeout_s,
                close_timeout=_CLOSE_WITHIN_S,
                ping_interval=_PING_EVERY_S,
                ping_timeout=None,
                max_size=_LONGEST_MESSAGE,
            )
        except InvalidStatus as error:
            raise v20.error("GET", SOCKET_PATH, error.response.status_code, b"") from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise unreachable("3CX", error, "[pbx] url", "[pbx] ca_file") from error
        return _WebSocket(connection)

    return dial


class _Connect(connect):
    """Goes nowhere else: whoever answers in 3CX's place chooses no address for us."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class _WebSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def recv(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise SocketEnded(f"the websocket ended: {error}") from error

    async def close(self) -> None:
        await self._connection.close()
