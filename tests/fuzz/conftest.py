"""At the end of a long run: how many inputs each parser got."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    most: dict[str, int] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for what, count in report.user_properties:
                if what == "inputs":
                    most[report.nodeid] = max(count, most.get(report.nodeid, 0))
    if not most:
        return
    terminalreporter.section("inputs")
    for name, count in sorted(most.items()):
        terminalreporter.line(f"{count:>12,}  {name.partition('[')[2].rstrip(']')}")
    terminalreporter.line(f"{sum(most.values()):>12,}  in all, for {len(most)} parsers")
