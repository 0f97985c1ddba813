"""A loopback of this process's own, on which packets can be dropped: Linux, root, iproute2 and iptables."""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator

CLONE_NEWNET = 0x40000000
"""https://man7.org/linux/man-pages/man2/unshare.2.html"""


def entered() -> bool:
    """From now on, for this process and those that it starts; False where that can't be had.

    To be called before there are threads. Nothing of the machine's own network is changed.
    """
    if os.geteuid() or not all(map(shutil.which, ("ip", "iptables"))):
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        return False
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return subprocess.run(["iptables", "-L", "-n"], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def dropping(ports: Iterable[int]) -> Iterator[None]:
    """Nothing from or to these ports arrives, and nobody is told."""
    matched = ["OUTPUT", "-p", "tcp", "-m", "multiport", "--ports", ",".join(map(str, ports)), "-j", "DROP"]
    subprocess.run(["iptables", "-A", *matched], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-D", *matched], check=True)
