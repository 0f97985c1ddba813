"""`support`: a file for whoever is to help, without personal data and secrets."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from presencebridge.cli.which import config_of, file_of, running


def support(
    *,
    config: Path,
    site: str = "",
    output: Path | None = None,
    people: Annotated[bool, Parameter(negative="--no-people")] = True,
) -> None:
    """Write a bundle for whoever is to help: state and findings, without personal data and secrets.

    It is written to a file, and nothing is sent anywhere. Look into it before you pass it on.

    Parameters
    ----------
    config
        The config file, or the folder of sites; if the service runs with it, it is asked too.
    site
        Which of the folder's sites.
    output
        The zip to write; by default presencebridge-support.zip in this folder.
    people
        Include how each person stands, by stand-ins.
    """
    from presencebridge.adapters import Outside
    from presencebridge.doctor.examination import examine
    from presencebridge.doctor.findings import Finding
    from presencebridge.doctor.site import Site
    from presencebridge.support import bundle, gathering

    target = output or Path("presencebridge-support.zip")
    path = running(config, site).prefix
    patient = Site(config_of(config, site), file_of(config, site), Outside(), path=path)

    async def findings() -> list[Finding]:
        return [one async for one in examine(patient)]

    print("asking doctor, which takes some seconds ...", flush=True)
    found = asyncio.run(findings())
    with gathering.client(patient.config.operator) as http:
        service = gathering.Service(http, path, patient.file.stem, patient.outside.clock().wall())
        files = bundle.make(patient.config, patient.file, found, service, with_people=people)
    bundle.write(target, files)
    print(f"\n{target.resolve()} holds:")
    for name, text in files.items():
        print(f"  {name:<18} {len(text.encode()) / 1000:>8.1f} kB  {bundle.CONTENTS[name]}")
    if not service.overview:
        print("The service does not run, so its status, figures and log are not in it.")
    print(
        "\nPeople, hosts and ids are replaced by stand-ins, and no secret is in it. Nothing was sent: look "
        "into it, and pass it on yourself."
    )
