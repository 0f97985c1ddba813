"""The running service, asked over its operator's address: whether it runs, its links and its people."""

import re
from typing import Any, Final

import httpx2

from presencebridge.config import parse_listen, secret
from presencebridge.doctor.faults import Fault
from presencebridge.doctor.findings import Verdict, fine, listed, not_tried, warning, wrong
from presencebridge.doctor.machine import taken
from presencebridge.doctor.site import Site

_TIMEOUT_S: Final = 5.0
_SILENT_S: Final = 600.0
_SEEN: Final = r'presencebridge_last_seen_timestamp_seconds\{{site="{site}",source="(\w+)"\}} (\S+)'


async def running(site: Site) -> Verdict:
    """Whether the service runs, and makes progress. What it says of itself is kept for the later probes."""
    listen = site.config.operator.listen
    host, port = parse_listen(listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where it listens everywhere
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    words = {"port": str(port), "word": f"[operator] listen in {site.file}"}
    token = secret("operator-token", site.config.operator.token_file)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=_TIMEOUT_S) as http:
        try:
            alive = await http.get(f"{site.path}/livez")
            overview = await http.get(f"{site.path}/api/people")
            metrics = await http.get("/metrics")
            node = _read(await http.get("/api/sites"))
        except httpx2.TransportError:
            if why := taken(listen):
                return wrong(Fault.PORT_TAKEN, f"{listen} is used by something else ({why})", **words)
            return fine("does not run; presencebridge run starts it")
    if alive.status_code == 404 and isinstance(cluster := node.get("cluster"), dict):
        if trouble := cluster.get("trouble"):
            return wrong(Fault.NODE_APART, f"runs, and has no part in the cluster: {trouble}")
        other = cluster.get("elsewhere", {}).get(site.file.stem)
        return fine(f"runs; this site runs on {other}" if other else "runs; nobody has this site just now")
    if alive.text != "ok\n" and not alive.text.startswith("no progress\n"):
        return wrong(Fault.PORT_TAKEN, f"what answers at {listen} is not presencebridge", **words)
    if overview.status_code == 401:
        return wrong(Fault.OPERATOR_REFUSES, "runs, and does not take the token of this config")
    site.service = _read(overview)
    now = site.outside.clock().wall()
    seen = re.findall(_SEEN.format(site=re.escape(site.file.stem)), metrics.text)
    site.heard = {source: now - float(at) for source, at in seen if float(at)}
    if alive.status_code != 200:
        what = "; ".join(alive.text.splitlines()[1:]) or "it does not say what hangs"
        return wrong(Fault.SERVICE_STUCK, f"runs, and has made no progress for minutes: {what}")
    return fine("runs" + (", and does not tell us more" if not site.service["links"] else ""))


def _read(answer: httpx2.Response) -> dict[str, Any]:
    nothing: dict[str, Any] = {"links": [], "people": [], "dry_run": False}
    try:
        found = answer.json() if answer.status_code == 200 else {}
    except ValueError:
        found = {}
    return nothing | found if isinstance(found, dict) else nothing


async def links(site: Site) -> Verdict:
    """How the running service's links are."""
    if site.service is None:
        return not_tried("the service does not run")
    down = [one for one in site.service["links"] if one["state"] not in ("connected", "degraded", "starting")]
    worse = [one for one in site.service["links"] if one["state"] == "degraded"]
    for told, found in ((wrong, down), (warning, worse)):
        if found:
            what = "; ".join(f"{one['name']} is {one['state']}: {one['reason']}" for one in found)
            cures = "; ".join(filter(None, (one["cure"] for one in found)))
            return told(Fault.LINK_TROUBLED, what, link_cure=cures or "presencebridge status says more")
    return fine(
        ", ".join(f"{one['name']} {one['state']}" for one in site.service["links"]) or "it does not say"
    )


async def last_event(site: Site) -> Verdict:
    """How long ago the running service heard of each source."""
    if site.service is None:
        return not_tried("the service does not run")
    if not site.heard:
        return not_tried("the service does not tell")
    told = ", ".join(f"{source} {seconds:.0f} s ago" for source, seconds in sorted(site.heard.items()))
    reads = [seconds for source, seconds in site.heard.items() if source != "teams_notification"]
    if max(reads, default=0.0) > max(_SILENT_S, 2 * site.config.teams.reconcile_every_s):
        return wrong(Fault.NOTHING_HEARD, f"last heard of: {told}")
    return fine(f"last heard of: {told}")


async def people(site: Site) -> Verdict:
    """Whether anybody is in trouble, as the running service sees it."""
    if site.service is None:
        return not_tried("the service does not run")
    troubled = [one for one in site.service["people"] if one["condition"] == "trouble"]
    if not troubled:
        return fine(f"{len(site.service['people'])} served, nobody in trouble")
    told = listed([f"{one['extension']}: {' '.join(one['trouble'])}" for one in troubled], 3)
    return warning(Fault.PEOPLE_IN_TROUBLE, told, who=troubled[0]["extension"])


def is_paused(site: Site, extension: str) -> bool:
    """Whether nothing is done for somebody just now: nobody runs, or they are paused."""
    people = site.service["people"] if site.service else []
    return all(one["condition"] in ("paused", "excluded") for one in people if one["extension"] == extension)
