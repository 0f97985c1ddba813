"""PURE: the routes that read and write an extension's profile and its queue log-in.

Sources in Montesuma80/3cx-web-API: profile.cs, queuecontroll.cs, savechanges.cs, Program.cs.
"""

from presencebridge.emulators.webapi.pbx import Extension, Pbx
from presencebridge.emulators.webapi.visit import NO_ELEMENTS, FailedInside, Visit

_WORDS = {
    "avail": "Available",
    "away": "Away",
    "oof": "Out of office",
    "custom1": "Custom 1",
    "custom2": "Custom 2",
}


def showstatus(visit: Visit) -> str:
    """The line has four leading spaces, printed and answered alike."""
    line = f"    CURRENT_STATUS={visit.extension(visit.part(2)).status}"
    visit.say(line)
    return line


def setstatus(visit: Visit) -> str:
    return _set(visit, visit.part(2), visit.part(3))


def ready(visit: Visit) -> str:
    _set(visit, visit.part(2), "avail")
    return _log("login_all", visit.part(2), visit)


def notready(visit: Visit) -> str:
    _set(visit, visit.part(2), "custom1")
    return _log("logout_all", visit.part(2), visit)


def logout(visit: Visit) -> str:
    _set(visit, visit.part(2), "away")
    return _log("logout_all", visit.part(2), visit)


def login(visit: Visit) -> str:
    """Action first, then extension: the manual in the repository has it the other way round."""
    return _log(visit.part(2), visit.part(3), visit)


def save(visit: Visit) -> str:
    action, number, queue = visit.part(2), visit.part(3), visit.part(4)
    agent = _agent(visit, number)
    if isinstance(agent, str):
        return "false"
    if not _apply(action, agent, (queue,), visit.pbx):
        visit.say(f"Unknown action '{action}'")
        return "false"
    _say_agent(visit, agent)
    return "true"


def _set(visit: Visit, number: str, word: str) -> str:
    wanted = _WORDS.get(word, "")
    extension = visit.extension(number)
    if wanted not in extension.profiles:
        raise FailedInside(NO_ELEMENTS)
    if not visit.ignores_set:
        extension.status = wanted
    visit.say(f"CURRENT_STATUS={wanted}")
    return wanted


def _log(action: str, number: str, visit: Visit) -> str:
    visit.say(f"Login at Station {number}")
    agent = _agent(visit, number)
    if isinstance(agent, str):
        return agent
    if action not in {"login_all", "logout_all"}:
        visit.say(f"Unknown action '{action}'")
        return "false"
    _apply(action, agent, (), visit.pbx)
    _say_agent(visit, agent)
    return "true"


def _agent(visit: Visit, number: str) -> Extension | str:
    """The extension, or why it is no queue agent (printed): unlike elsewhere nothing fails here."""
    extension = visit.pbx.extensions.get(number)
    if extension is None:
        visit.say(f"{number} is not a valid extension")
        return "is not a valid extension"
    if not extension.queues:
        visit.say(f"Extension {number} is not an agent of the queues")
        return "is not an agent of the queues"
    return extension


def _apply(action: str, agent: Extension, queues: tuple[str, ...], pbx: Pbx) -> bool:
    """Does a queue action; False where there is none of that name."""
    changes = {
        # action: (queues to add, queues to remove, log-in forced)
        "login_all": (agent.queues, (), True),
        "logout_all": ((), agent.queues, False),
        "login_only_to": (queues, agent.queues, True),
        "logout_only_from": ((), queues, None),
        "login_current": ((), (), True),
        "logout_current": ((), (), False),
    }
    if action not in changes:
        return False
    add, remove, logged_in = changes[action]
    pbx.change_working_set(agent, add, remove)
    if logged_in is not None:
        agent.logged_in = logged_in
    return True


def _say_agent(visit: Visit, agent: Extension) -> None:
    working = agent.queues if agent.working_set is None else agent.working_set
    forced = "None" if agent.working_set is None else ",".join(agent.working_set)
    inactive = [queue for queue in agent.queues if queue not in working]
    visit.say(f"Agent {agent.number} {'LoggedIn' if agent.logged_in else 'LoggedOut'}:")
    visit.say(f"Working set:{','.join(working)}[forced set '{forced}']")
    visit.say(f"Inactive Queues:{','.join(inactive)}")
