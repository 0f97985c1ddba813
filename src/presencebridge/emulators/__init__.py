"""Microsoft Graph and 3CX as servers on loopback: demo, test bench, and useful to others.

They follow the vendors' published facts, the ugly ones included. Nothing here may import from
the bridge's own clients (`graph`, `pbx`): an emulator that shares our code shares our mistakes.
"""
