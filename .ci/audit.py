"""`audit.py PIP-AUDIT LOCK...`: fails on known holes in locked packages, and not where nobody can be asked.

pip-audit ends in the same way for a hole and for a service that is away, so its report is read.
"""

import json
import subprocess
import sys


def holes(program: str, lock: str) -> list[str] | None:
    """What is known of the lock's packages; None where nothing could be found out."""
    command = [program, "--disable-pip", "--require-hashes", "--requirement", lock, "--format", "json"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(done.stderr.strip()[-500:], file=sys.stderr)
        return None
    if not any("vulns" in one for one in packages):
        return None
    return [
        f"{lock}: {one['name']} {one['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions'])}"
        for one in packages
        for hole in one.get("vulns", ())
    ]


def main() -> int:
    program, *locks = sys.argv[1:]
    found: list[str] = []
    for lock in locks:
        known = holes(program, lock)
        if known is None:
            print(f"audit: {lock}: no package could be looked up, so nothing is known of it", file=sys.stderr)
        else:
            print(f"audit: {lock}: {len(known)} known holes")
            found += known
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
