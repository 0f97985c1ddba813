"""PURE: what tells one version of the bridge from another, as data."""

import msgspec

DEFAULT_PORT = 8889


class Dialect(msgspec.Struct, frozen=True):
    """One version of the bridge.

    - `prints_url`: every request's raw URL goes to standard output.
    - `takes_posts`: a POST to any path is a webhook call, and bodies are printed. Without it, a request
      that has a body fails: the program reads the body stream, closes it, and reads it once more.
    - `content_type`, `post_content_type`: None means that there is no such header.
    - `idle`: the answer to an unknown route. `stopped`: the answer to /stop.
    - `queue_before_dot`: how the queue's number is found in what a connection carries: the text before
      the first dot, or else the first four characters, come what may.
    - `farewell`: what the program prints as it ends.
    """

    name: str
    prints_url: bool
    takes_posts: bool
    content_type: str | None
    post_content_type: str | None
    idle: str
    stopped: str
    queue_before_dot: bool
    farewell: tuple[str, ...]


_STOPPED_LISTENER = (
    # The listener is stopped inside the route, so the loop's next GetContext() throws, and Main prints
    # that. The sentence is .NET's own (net_listener_mustcall); the stack is what Main would show.
    "System.InvalidOperationException: Please call the Start() method before calling this method.",
    "   at System.Net.HttpListener.GetContext()",
    "   at WebAPI.Program.Bootstrap(String[] args)",
    "   at WebAPI.Program.Main(String[] args)",
)

ORIGINAL = Dialect(
    # Montesuma80/3cx-web-API, Program.cs
    name="original",
    prints_url=True,
    takes_posts=False,
    content_type=None,
    post_content_type=None,
    idle="idle",
    stopped="<HTML><BODY> Server Stopped</BODY></HTML>",
    queue_before_dot=False,
    farewell=_STOPPED_LISTENER,
)

ADN77_2023 = Dialect(
    # dexit/3cx-web-API c25a0ed (26 April 2023) with bc8157a (2 May 2023): what the blog post ran on
    name="adn77-2023",
    prints_url=False,
    takes_posts=True,
    content_type="text/html",
    post_content_type="text/plain",
    idle="<HTML><BODY>Idle</BODY></HTML>",
    stopped="<HTML><BODY> Server Stopped</BODY></HTML>",
    queue_before_dot=True,
    farewell=_STOPPED_LISTENER,
)

ADN77_2024 = msgspec.structs.replace(
    # dexit/3cx-web-API 08e11ba (1 February 2024) with 7489b64 (8 March 2024): stops cleanly
    ADN77_2023,
    name="adn77-2024",
    stopped="<HTML><BODY>Server Stopped</BODY></HTML>",
    farewell=("exited gracefully",),
)

DIALECTS = {dialect.name: dialect for dialect in (ORIGINAL, ADN77_2023, ADN77_2024)}
WHA = "wha"
NAMES = (*DIALECTS, WHA)


def starting_lines(port: int | None) -> tuple[str, ...]:
    """What the program prints as it starts, with or without a port on its command line."""
    first = (
        f"No Port Submitted, use Generic Port: {DEFAULT_PORT}"
        if port is None
        else f"Port Submitted, use Generic Port: {port}"
    )
    shown = DEFAULT_PORT if port is None else port
    return (
        first,
        "Debug Mode off",
        f"http://*:{shown}/",
        f"Listening... on Port {shown} for Development",
        f"To Stop open URL: http://127.0.0.1:{shown}/stop",
    )
