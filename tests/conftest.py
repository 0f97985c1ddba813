"""What every test needs."""

import asyncio

# Otherwise pytest-asyncio asks for the thread's event loop before the first test, which makes one that
# nobody closes, and the warning about it hits whichever test is under way when it is collected.
asyncio.set_event_loop(None)
