"""PURE: what is to be clicked, in Entra and in 3CX, and what to do then."""

from typing import Final
from urllib.parse import urlsplit

from presencebridge.setup.answers import V20, Answers
from presencebridge.setup.texts import Language, Text

PORTALS: Final = {
    "global": "https://entra.microsoft.com",
    "usgov": "https://portal.azure.us > Microsoft Entra ID",
    "dod": "https://portal.azure.us > Microsoft Entra ID",
}
"""https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud"""


def portal(answers: Answers) -> str:
    return PORTALS[answers.cloud or "global"]


def consent_link(answers: Answers) -> str:
    """https://learn.microsoft.com/entra/identity/enterprise-apps/grant-admin-consent"""
    return f"{answers.login}/{answers.tenant}/adminconsent?client_id={answers.client_id}"


def to_click(answers: Answers, language: Language, config: str, crt: str, key_file: str) -> str:
    """The whole list, in the order in which it is done."""

    def say(text: Text, **words: str) -> str:
        return text.say(language, **words)

    steps = [say(Text.UPLOAD, crt=crt)] if crt else []
    steps.append(say(Text.PERMISSIONS) + _permissions(answers, language))
    if answers.delivery == "webhook":
        steps.append(say(Text.DELEGATED))
    steps.append(say(Text.CONSENT, link=consent_link(answers)))
    told = [say(Text.ENTRA, portal=portal(answers)), *_numbered(steps), "", say(Text.IN_3CX)]
    if answers.kind == V20:
        who = ", ".join(extension for _, extension in answers.people)
        steps = [
            say(Text.API_CLIENT, client=answers.pbx_client_id or ""),
            say(Text.CONFIGURATION),
            say(Text.CALL_CONTROL, who=who if answers.by_list else say(Text.EVERYBODY)),
            say(Text.SAVE_KEY, file=key_file),
            say(Text.OWN_SYNC_OFF),
        ]
        told += [*_numbered(steps), f"     {say(Text.ALONE)}"]
    else:
        port = str(urlsplit(answers.pbx_url or "").port or 8889)
        told += _numbered([say(Text.BRIDGE, port=port)])
    commands = [(Text.DOCTOR, "doctor", ""), (Text.DRY_RUN, "run", " --dry-run"), (Text.RUN, "run", "")]
    if answers.delivery == "webhook":
        commands.insert(0, (Text.LOGIN, "login", ""))
    told += ["", say(Text.THEN)]
    told += [
        f"  presencebridge {name} --config {config}{more}   # {say(why)}" for why, name, more in commands
    ]
    return "\n".join(told)


def _permissions(answers: Answers, language: Language) -> str:
    wanted = {"Presence.ReadWrite.All": Text.WHY_WRITE, "Presence.Read.All": Text.WHY_READ}
    if not answers.by_list:
        wanted["User.Read.All"] = Text.WHY_ALL_USERS
    elif any("@" in teams for teams, _ in answers.people):
        wanted["User.ReadBasic.All"] = Text.WHY_USERS
    return "".join(f"\n       {name:<24} {why.say(language)}" for name, why in wanted.items())


def _numbered(steps: list[str]) -> list[str]:
    return [f"  {number}. {step}" for number, step in enumerate(steps, 1)]
