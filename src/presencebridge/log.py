"""Logging: one line an event on stderr, in plain words on a terminal and JSON otherwise.

What would be a record of people, the decisions, is told at DEBUG unless the config asks for it. Such lines
are for a terminal: elsewhere they are not even made, since a line costs as much as the decision itself. What
was decided is in the journal, for `why` and the support bundle.
"""

import asyncio
import collections
import io
import json
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol, TextIO

import structlog

from presencebridge.printable import printable

_OF_STRANGERS: Final = {
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
    "socket.send() raised exception.",
}
_OF_NO_USE: Final = ("No supported WebSocket library detected.", "Cancel ")
_TELL_AGAIN_S: Final = 3600.0
_MOST_RECENT: Final = 1000
_LONGEST_LINE: Final = 10_000
_OF_LINES: Final = ("event", "stack")
"""What may have several lines."""


class InFields(Protocol):
    """A value of a line that consists of several."""

    def fields(self) -> dict[str, Any]: ...


def set_up(
    *,
    level: int = logging.DEBUG,
    terminal: bool | None = None,
    in_words: structlog.typing.Processor | None = None,
) -> None:
    """Make every library's records come out in the one form; `in_words` makes it the one for a terminal."""
    pretty = sys.stderr.isatty() if terminal is None else terminal
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    in_json: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _in_fields,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    for_a_terminal: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _printable,
        in_words or _in_fields,
        _printable,  # what was decided is words by now
        structlog.dev.ConsoleRenderer(colors=True, pad_event_to=0, exception_formatter=_traceback),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=for_a_terminal if pretty else in_json
        )
    )
    _recent.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=in_json))
    handler.setLevel(level if pretty else max(level, logging.INFO))
    root = logging.getLogger()
    root.handlers = [handler, _recent]
    root.setLevel(max(level, logging.INFO))
    logging.getLogger("presencebridge").setLevel(level)
    logging.getLogger("presencebridge.decisions").setLevel(level if pretty else max(level, logging.INFO))
    for chatty in ("httpx2", "httpcore2", "msal", "urllib3", "uvicorn", "sse_starlette", "asyncio"):
        # What these have to say, addresses included, is told by our own lines where it matters.
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_News())
    logging.getLogger("asyncio").addFilter(_News())


def _in_fields(_logger: Any, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    decided: InFields | None = line.pop("decided", None)
    return line if decided is None else {**line, **decided.fields()}


def _printable(_logger: Any, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What others wrote steers no terminal, and ends no line of ours."""
    return {
        name: printable(value, keep="\n" if name in _OF_LINES else "") if isinstance(value, str) else value
        for name, value in line.items()
    }


def _traceback(out: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Without the values of variables, which may be secrets; the error itself may quote others."""
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, error)
    out.write(printable(plain.getvalue(), keep="\n"))


class _Recent(logging.Handler):
    """The last lines, in memory: for the support bundle, wherever the log itself goes."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: collections.deque[str] = collections.deque(maxlen=_MOST_RECENT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            if len(line) <= _LONGEST_LINE:
                self.lines.append(line)
        except Exception:  # noqa: BLE001 - the other handler has told it
            self.lines.append('{"event": "a line that could not be formatted"}')


_recent: Final = _Recent()


def recent(site: str, *, with_nodes: bool = True) -> Sequence[dict[str, Any]]:
    """The last lines that were logged, less those of other sites; none before `set_up`.

    What the node says of itself may name any site, so it is not for everybody.
    """
    lines = (json.loads(line) for line in _recent.lines)
    return [line for line in lines if line.get("site", site if with_nodes else None) == site]


class _News(logging.Filter):
    """Whether it is worth telling.

    Requests that are cut off at the end of the program are not. What strangers send would fill the disk, so
    the libraries' lines about that come once an hour.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return False
        if any(text.startswith(of_no_use) for of_no_use in _OF_NO_USE):
            return False
        if text not in _OF_STRANGERS:
            return True
        now = time.monotonic()
        if now - self._told.get(text, float("-inf")) < _TELL_AGAIN_S:
            return False
        self._told[text] = now
        return True
