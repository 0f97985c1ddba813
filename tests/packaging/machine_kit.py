"""A Debian machine of its own: a fresh root that systemd boots in namespaces, without a network.

The root is made once, into build/ of the checkout. What happens on the machine is kept in memory, and gone at
the end.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import pytest

PROJECT: Final = Path(__file__).parents[2]
ROOT: Final = PROJECT / "build" / "debian-root"
_INCLUDED: Final = "systemd,systemd-sysv,python3.11,ca-certificates,procps"
"""What any Debian machine with systemd has, and what the package depends on."""
_NEEDED: Final = ("mmdebstrap", "systemd-nspawn", "nsenter", "curl", "dh", "dpkg-buildpackage")
PATIENCE_S: Final = 90.0


def skip_unless_possible() -> None:
    """On CI nothing may be missing; elsewhere root and the tools are needed."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing and os.environ.get("CI"):
        pytest.fail(f"missing: {missing}")
    if missing:
        pytest.skip(f"missing: {missing}")


def make_root() -> Path:
    """A minimal Debian 12, from the machine's own mirror."""
    with _alone():
        if not ROOT.exists():
            _make_root()
    return ROOT


def _make_root() -> None:
    new = ROOT.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    quick = "--dpkgopt=force-unsafe-io"  # nobody minds a root that a power cut leaves broken
    command = ["mmdebstrap", "--quiet", "--variant=minbase", quick, f"--include={_INCLUDED}"]
    subprocess.run([*command, "bookworm", str(new)], check=True, stdin=subprocess.DEVNULL)
    new.rename(ROOT)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One worker at a time."""
    ROOT.parent.mkdir(exist_ok=True)
    with (ROOT.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Machine:
    """A booted machine. `packages` is its folder /packages."""

    def __init__(self, packages: Path, log: Path) -> None:
        self._packages = packages
        self._log = log

    def __enter__(self) -> Self:
        command = [
            "systemd-nspawn",
            "--quiet",
            "--directory",
            str(make_root()),
            "--volatile=overlay",
            "--boot",
        ]
        command += [
            "--register=no",
            "--keep-unit",
            "--private-network",
            f"--bind-ro={self._packages}:/packages",
        ]
        with self._log.open("wb") as log:
            self._nspawn = subprocess.Popen(
                [*command, "--machine", f"presencebridge-{os.getpid()}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.until(
                "the machine has booted", lambda: "running" in self.said("systemctl", "is-system-running")
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._nspawn.terminate()
        try:
            self._nspawn.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()

    # Commands

    def said(self, *command: str, stdin: str = "", ok: bool = False) -> str:
        """What a command printed; with `ok` it has to succeed."""
        done = self._run("--all", *command, stdin=stdin)
        assert not ok or done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def do(self, *command: str, stdin: str = "") -> str:
        """Run a command that has to succeed; returns what it printed."""
        return self.said(*command, stdin=stdin, ok=True)

    def fails(self, *command: str) -> str:
        """Run a command that must not succeed; returns what it complained of."""
        done = self._run("--all", *command)
        assert done.returncode != 0, (command, done.stdout)
        return done.stderr

    def ask(self, method: str, url: str, body: Any = None) -> Any:
        """A request from the machine's network, and the JSON of its answer."""
        data = () if body is None and method != "PUT" else ("--data", json.dumps(body))
        head = ("--header", "Content-Type: application/json", "--request", method)
        done = self._run("--net", "curl", "--silent", "--show-error", "--fail-with-body", *head, *data, url)
        assert done.returncode == 0, (method, url, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def _run(self, spaces: str, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "--target", str(self._leader), spaces]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        return subprocess.run(
            [*enter, *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
            env=environment,
        )

    @property
    def _leader(self) -> int:
        """The machine's process 1, as it is called out here."""
        found = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        assert found, self._log.read_text(errors="replace")
        return int(found[0])

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not _holds(condition):
            assert self._nspawn.poll() is None, self._log.read_text(errors="replace")
            if time.monotonic() > deadline:
                pytest.fail(f"waited {PATIENCE_S:g} s in vain: {what}")
            time.sleep(0.1)  # between two looks at the condition; nothing depends on its length

    # What can be seen

    def file(self, name: str, text: str, mode: str = "644") -> None:
        """Make a file."""
        self.do("install", "-D", "-m", mode, "/dev/stdin", name, stdin=text)

    def unit(self, *properties: str) -> list[str]:
        """Properties of the service, in the order asked for."""
        return [self.do("systemctl", "show", "presencebridge", "--value", "-p", one) for one in properties]

    def files(self) -> dict[str, str]:
        """Everything on the disk: kind, rights, owner, and what is in it. Without what changes by itself."""
        return dict(json.loads(self.do("python3.11", "-I", "-c", _LIST)))


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except (AssertionError, FileNotFoundError):
        return False


_LIST: Final = """
import hashlib, json, os, stat
VOLATILE = (
    "/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/packages",  # in memory, or of this test
    "/var/log", "/var/lib/systemd", "/var/lib/private",  # journal, timers and seeds of systemd itself
    "/var/lib/dpkg", "/var/cache/ldconfig",  # what dpkg knows is looked at with its own words
    "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-",  # copies from before the last change
)
found = {}
for folder, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.path.join(folder, one) not in VOLATILE]
    for name in (*folders, *files):
        path = os.path.join(folder, name)
        if path in VOLATILE:
            continue
        about = os.lstat(path)
        if stat.S_ISREG(about.st_mode):
            what = hashlib.sha256(open(path, "rb").read()).hexdigest()
        elif stat.S_ISLNK(about.st_mode):
            what = os.readlink(path)
        else:
            what = ""
        found[path] = f"{about.st_mode:o} {about.st_uid}:{about.st_gid} {what}"
print(json.dumps(found))
"""


def build(version: str = "") -> Path:
    """The package of this tree, by the one command of the docs."""
    with _alone():
        log = subprocess.run(
            ["make", "--no-print-directory", "deb", f"VERSION={version}"],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    assert log.returncode == 0, log.stdout + log.stderr
    return PROJECT / log.stdout.split()[-1]
