"""`demo`."""


def demo() -> None:
    """Both emulators, the bridge and its page, playing an office day."""
