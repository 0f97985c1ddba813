"""What to do about what was seen: pure functions of state, event, time and policy.

No I/O, no clock, no randomness, no logging, no asyncio here; `msgspec` is the one import. Everything
that decides whether Teams or 3CX is written lives in this package and nowhere else.
"""
