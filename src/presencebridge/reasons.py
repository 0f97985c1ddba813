"""PURE: the fixed sentences about troubles and their cures, in German.

They are made in English where the trouble is found; here the German ones stand beside them. What is in braces is
whatever stood there, and stays as it is (a text from outside, a name, a number) unless it is a sentence of
ours again. `tests/integration/test_reasons.py` holds the table to the code.
"""
# ruff: noqa: E501 - sentences are longer than lines of code

import functools
import re
from typing import Final, NamedTuple

from presencebridge.bilingual import Language

GERMAN: Final[dict[str, str]] = {
    # Links
    "not tried yet": "noch nicht versucht",
    "{who} can't be reached: {why}": "{who} ist nicht erreichbar: {why}",
    "the bridge 3cx-web-API": "die Brücke 3cx-web-API",
    "the bridge 3CXStatusWebApi": "die Brücke 3CXStatusWebApi",
    "name the authority of its certificate in {ca_file} if it is a private one; check {address}": "die ausstellende Stelle des Zertifikats in {ca_file} nennen, falls es eine eigene ist; {address} prüfen",
    "what answers there does not speak https: check {address}": "was dort antwortet, spricht kein https: {address} prüfen",
    "the name can't be found: check the host in {address}, and this machine's name resolution": "der Name wird nicht gefunden: den Rechnernamen in {address} prüfen, und die Namensauflösung dieser Maschine",
    "nothing listens there: check the port in {address}, and that it runs": "dort hört nichts: den Port in {address} prüfen, und ob es läuft",
    "check {address}, the firewall, the proxy and {ca_file}": "{address}, die Firewall, den Proxy und {ca_file} prüfen",
    "{who} has no end": "{who} hat kein Ende",
    # Microsoft
    "Entra's sign-in can't be reached: {why}": "die Anmeldung bei Entra ist nicht erreichbar: {why}",
    "check name resolution, the firewall, the proxy, and [teams] ca_file": "Namensauflösung, Firewall, Proxy und [teams] ca_file prüfen",
    "the sign-in can't be read or kept: {why}": "die Anmeldung kann nicht gelesen oder gespeichert werden: {why}",
    "free the disk, or mend the state folder's rights": "Platz auf der Platte schaffen, oder die Rechte des Zustandsordners richten",
    "Entra's answer was not believed": "der Antwort von Entra wurde nicht geglaubt",
    "check the clock of this machine": "die Uhr dieser Maschine prüfen",
    "Entra's sign-in answered with something else": "die Anmeldung bei Entra antwortete etwas anderes",
    "Entra's sign-in answered with something else ({why})": "die Anmeldung bei Entra antwortete etwas anderes ({why})",
    "check the proxy": "den Proxy prüfen",
    "check the proxy, or sign in again": "den Proxy prüfen, oder neu anmelden",
    "Entra's sign-in can't be used: {why}": "die Anmeldung bei Entra ist nicht zu gebrauchen: {why}",
    "check tenant_id": "tenant_id prüfen",
    "Entra refused the sign-in: {why}": "Entra hat die Anmeldung abgewiesen: {why}",
    "check client_id, tenant_id and the app's certificate or secret (and its expiry) in Entra": "client_id, tenant_id und Zertifikat oder Geheimnis der App (und deren Ablauf) in Entra prüfen",
    "nobody is signed in as watcher {name}": "niemand ist als Beobachter {name} angemeldet",
    "Graph's list of users goes on at an address that is none of its own": "die Benutzerliste von Graph geht an einer fremden Adresse weiter",
    "Graph's list of users is longer than {people} people or {size} MB": "die Benutzerliste von Graph ist länger als {people} Personen oder {size} MB",
    "Graph's list of users has no end": "die Benutzerliste von Graph hat kein Ende",
    'set match = "list" in [people], and name people by their object ids': 'match = "list" in [people] setzen, und Personen mit ihren Objekt-IDs nennen',
    "sign in again, or check the app's credential and its expiry": "neu anmelden, oder Zertifikat oder Geheimnis der App und deren Ablauf prüfen",
    "give the app the permission {name} in Entra, with admin consent": "der App in Entra die Berechtigung {name} geben, mit Administratorzustimmung",
    "Graph's answer to {what} is not what it should be: {why}": "die Antwort von Graph auf {what} ist nicht, was sie sein sollte: {why}",
    "Graph has asked us to wait": "Graph hat uns zu warten gebeten",
    "Graph did not answer within {time} s": "Graph hat binnen {time} s nicht geantwortet",
    "a new notification key can't be kept: {why}": "ein neuer Schlüssel für Benachrichtigungen kann nicht gespeichert werden: {why}",
    "the sign-in's public keys are not what they should be": "die öffentlichen Schlüssel der Anmeldung sind nicht, was sie sein sollten",
    "the sign-in's discovery document names no place for its keys": "die Anmeldung nennt keinen Ort für ihre Schlüssel",
    "the sign-in's public keys can't be read: {why}": "die öffentlichen Schlüssel der Anmeldung sind nicht lesbar: {why}",
    "the sign-in's public keys can't be read within {time} s": "die öffentlichen Schlüssel der Anmeldung waren binnen {time} s nicht lesbar",
    "the sign-in's public keys have no end": "die öffentlichen Schlüssel der Anmeldung haben kein Ende",
    "reads found changes that Graph did not tell of; a new subscription has yet to tell of any": "beim Lesen fanden sich Änderungen, die Graph nicht gemeldet hat; ein neues Abonnement hat noch keine gemeldet",
    "everybody is polled until it does; if it stays so, see that Microsoft reaches [teams.webhook] public_url": "bis dahin werden alle regelmäßig gelesen; bleibt es so, prüfen, ob Microsoft [teams.webhook] public_url erreicht",
    "everybody is read every {now} s instead of every {wanted} s: {people} people are {count} requests, and {why}": "alle werden alle {now} s statt alle {wanted} s gelesen: {people} Personen sind {count} Anfragen, und {why}",
    "Graph asked for fewer; the pace comes back by itself": "Graph bat um weniger; das Tempo kommt von selbst zurück",
    "{most} in a second are half of Graph's limit": "{most} in der Sekunde sind die Hälfte dessen, was Graph erlaubt",
    "set [teams] poll_every_s to {time} or more, or let Microsoft tell us ([teams.webhook])": "[teams] poll_every_s auf {time} oder mehr setzen, oder Microsoft melden lassen ([teams.webhook])",
    "Graph refuses to tell this person's presence: {why}": "Graph gibt die Präsenz dieser Person nicht her: {why}",
    "Graph does not tell this person's presence": "Graph nennt die Präsenz dieser Person nicht",
    "not yet found in Entra": "in Entra noch nicht gefunden",
    # 3CX
    "extension {extension}: 3CX shows the status {status}, which is none of its five": "Nebenstelle {extension}: 3CX zeigt den Status {status}, keinen von seinen fünf",
    "check that the API client's role may read the user's status": "prüfen, ob die Rolle des API-Clients den Status des Benutzers lesen darf",
    "3CX's answer to the token endpoint holds a token that no header can carry": "3CX antwortet mit einem unbrauchbaren Token",
    "extension {extension}: 3CX has no such user": "Nebenstelle {extension}: in 3CX gibt es diesen Benutzer nicht",
    "check the number, and that the API client's department and role may see this user": "die Nummer prüfen, und ob Abteilung und Rolle des API-Clients diesen Benutzer sehen dürfen",
    "check [pbx] client_id and the API client's key on 3CX": "[pbx] client_id und den Schlüssel des API-Clients in 3CX prüfen",
    "tick 3CX Configuration API for the API client, and check its role and the licence": "beim API-Client „3CX Configuration API“ ankreuzen, Rolle und Lizenz prüfen",
    "check [pbx] url; versions before V20 do not have these APIs": "[pbx] url prüfen; vor V20 gibt es diese Schnittstellen nicht",
    "3CX's answer to {what} is not what it should be: {why}": "die Antwort von 3CX auf {what} ist nicht, was sie sein sollte: {why}",
    "3CX's list of users is longer than {people} people or {size} MB": "die Benutzerliste von 3CX ist länger als {people} Personen oder {size} MB",
    "check that the address in [pbx] url is that of 3CX": "prüfen, ob die Adresse in [pbx] url die von 3CX ist",
    "3CX did not answer {what} within {time} s": "3CX hat auf {what} binnen {time} s nicht geantwortet",
    "who is who can't be looked up by name: {why}": "wer wer ist, lässt sich nicht nach Namen nachschlagen: {why}",
    "calls can't be read: {why}": "die Anrufe sind nicht lesbar: {why}",
    "statuses can't be read: {why}": "der Status ist nicht lesbar: {why}",
    "calls are polled, since no websocket tells of them ({why})": "Anrufe werden regelmäßig gelesen, da kein Websocket von ihnen meldet ({why})",
    "calls come from the list of active calls, which is slower and does not tell hold ({why})": "Anrufe kommen aus der Liste der aktiven Anrufe, was langsamer ist und Halten nicht zeigt ({why})",
    'tick Call Control API Access for the API client (it needs the Enterprise licence), or set [pbx] calls_via = "active-calls"': 'beim API-Client „Call Control API Access“ ankreuzen (braucht die Enterprise-Lizenz), oder [pbx] calls_via = "active-calls" setzen',
    "extension {extension}: its calls can't be seen (add it to the extensions to monitor of the API client, in 3CX under Integrations > API)": "Nebenstelle {extension}: ihre Anrufe sind nicht zu sehen (beim API-Client zu den überwachten Nebenstellen hinzufügen, in 3CX unter Integrationen > API)",
    "extension {extension}: unknown state of a call: {state}": "Nebenstelle {extension}: unbekannter Zustand eines Anrufs: {state}",
    "3CX accepts changes of a status and does not carry them out": "3CX nimmt Änderungen des Status an und führt sie nicht aus",
    'let there be a second way: status_via = ["xapi", "bridge"] in [pbx], see docs/3cx-v20.md': 'einen zweiten Weg schaffen: status_via = ["xapi", "bridge"] in [pbx], siehe docs/3cx-v20.md',
    "see that the bridge in [pbx.bridge] runs and does what it is told: presencebridge doctor": "prüfen, ob die Brücke in [pbx.bridge] läuft und tut, was ihr gesagt wird: presencebridge doctor",
    "3CX's own sync with Teams is on ({what}) and works against this service": "der eigene Abgleich von 3CX mit Teams ist an ({what}) und arbeitet gegen diesen Dienst",
    "turn it off in 3CX under Integrations > Microsoft 365 > Presence, or stop this service (it is looked at every 10 minutes)": "in 3CX unter Integrationen > Microsoft 365 > Präsenz ausschalten, oder diesen Dienst anhalten (alle 10 Minuten wird nachgesehen)",
    # The bridges on the PBX
    "extension {extension}: the bridge says {what}": "Nebenstelle {extension}: die Brücke sagt {what}",
    "extension {extension}: the bridge does not find it: {what}": "Nebenstelle {extension}: die Brücke findet sie nicht: {what}",
    "extension {extension}: the bridge's answer is not what it should be": "Nebenstelle {extension}: die Antwort der Brücke ist nicht, was sie sein sollte",
    "check that the address in [pbx.bridge] url is that of 3CXStatusWebApi": "prüfen, ob die Adresse in [pbx.bridge] url die von 3CXStatusWebApi ist",
    "check that extension {extension} exists on the PBX and has all five status profiles": "prüfen, ob es Nebenstelle {extension} auf der Anlage gibt, mit allen fünf Statusprofilen",
    "the bridge for statuses answered {what}": "die Brücke für den Status antwortete {what}",
    "the bridge for statuses did not answer within {time} s": "die Brücke für den Status hat binnen {time} s nicht geantwortet",
    "check the key in [pbx.bridge] api_key_file": "den Schlüssel in [pbx.bridge] api_key_file prüfen",
    "check that 3CXStatusWebApi is connected to the PBX": "prüfen, ob 3CXStatusWebApi mit der Anlage verbunden ist",
    "check [pbx.bridge] kind and url": "[pbx.bridge] kind und url prüfen",
    "extension {extension}: the bridge's answer to /showstatus is no status: {what}": "Nebenstelle {extension}: die Antwort der Brücke auf /showstatus ist kein Status: {what}",
    "/showstatus/{extension} should say CURRENT_STATUS=Available or another status": "/showstatus/{extension} sollte CURRENT_STATUS=Available sagen, oder einen anderen Status",
    "extension {extension}: the bridge was asked for {wanted} and answered {what}": "Nebenstelle {extension}: die Brücke wurde nach {wanted} gefragt und antwortete {what}",
    "check that the address in [pbx] url is that of 3cx-web-API": "prüfen, ob die Adresse in [pbx] url die von 3cx-web-API ist",
    "the bridge's answer to /showallcalls is not its list of calls: {what}": "die Antwort der Brücke auf /showallcalls ist nicht ihre Liste der Anrufe: {what}",
    "the bridge's list of calls has a line of another form: {what}": "in der Anrufliste der Brücke hat eine Zeile eine andere Form: {what}",
    "the bridge did not answer {path} within {time} s": "die Brücke hat auf {path} binnen {time} s nicht geantwortet",
    "extension {extension}: the bridge did not answer {path} within {time} s": "Nebenstelle {extension}: die Brücke hat auf {path} binnen {time} s nicht geantwortet",
    "check that 3cx-web-API is connected to the PBX (its output says so), or restart it; if statuses can be read, a call stands of a queue whose number has not four characters: docs/limits.md": "prüfen, ob 3cx-web-API mit der Anlage verbunden ist (seine Ausgabe sagt es), oder es neu starten; ist der Status lesbar, so steht ein Anruf einer Warteschlange, deren Nummer nicht vier Zeichen hat: docs/limits.md",
    "the bridge answered {path} with status {status}": "die Brücke antwortete auf {path} mit Status {status}",
    # Who is who
    "{side} names no users at all, which is not believed": "{side} nennt gar keine Benutzer, was nicht geglaubt wird",
    "check what the role of the API client in 3CX may see": "prüfen, was die Rolle des API-Clients in 3CX sehen darf",
    "check the permissions of the app in Entra": "die Berechtigungen der App in Entra prüfen",
    "none of {count} users of 3CX could be matched with anybody in Entra": "keiner von {count} Benutzern in 3CX ließ sich jemandem in Entra zuordnen",
    "presencebridge people --config FILE says why": "presencebridge people --config DATEI sagt, warum",
    "who is new or has gone can't be seen: {why}": "wer neu oder weg ist, ist nicht zu sehen: {why}",
    "is left alone: the config excludes this person": "bleibt unberührt: die Konfiguration nimmt diese Person aus",
    "is switched off on 3CX": "ist in 3CX ausgeschaltet",
    "enable the user on 3CX": "den Benutzer in 3CX einschalten",
    "has no e-mail address on 3CX": "hat in 3CX keine Mailadresse",
    "enter the person's on 3CX, or name the extension and the Teams user in a [[person]]; exclude the extension if nobody sits there": "die der Person in 3CX eintragen, oder Nebenstelle und Teams-Benutzer in einem [[person]] nennen; sitzt dort niemand, die Nebenstelle ausnehmen",
    "nobody in Entra has the address {address}": "niemand in Entra hat die Adresse {address}",
    "correct it on 3CX, or name the extension and the Teams user in a [[person]]": "in 3CX berichtigen, oder Nebenstelle und Teams-Benutzer in einem [[person]] nennen",
    "Entra has nobody whose user principal name or mail is {address}": "in Entra hat niemand den Benutzernamen oder die Mailadresse {address}",
    "correct teams = in the [[person]]": "teams = im [[person]] berichtigen",
    "double: extension {others} has the address {address} as well": "doppelt: auch Nebenstelle {others} hat die Adresse {address}",
    "give each an address of their own on 3CX, exclude all but one, or name the extension and the Teams user in a [[person]]": "jedem in 3CX eine eigene Adresse geben, alle bis auf eine ausnehmen, oder Nebenstelle und Teams-Benutzer in einem [[person]] nennen",
    "double: {address} is an address of {others}": "doppelt: {address} ist eine Adresse von {others}",
    "leave it to one of them in Entra, exclude the others, or name the extension and the Teams user in a [[person]]": "sie in Entra nur einem lassen, die anderen ausnehmen, oder Nebenstelle und Teams-Benutzer in einem [[person]] nennen",
    "double: extension {others} leads to the same Teams user as {address}": "doppelt: Nebenstelle {others} führt zum selben Teams-Benutzer wie {address}",
    "correct the addresses on 3CX, exclude all but one, or name the extension and the Teams user in a [[person]]": "die Adressen in 3CX berichtigen, alle bis auf eine ausnehmen, oder Nebenstelle und Teams-Benutzer in einem [[person]] nennen",
    "{first} is with extension {second} already": "{first} ist schon bei Nebenstelle {second}",
    "exclude the extension that is not to follow, or name the extension and the Teams user in a [[person]]": "die Nebenstelle ausnehmen, die nicht folgen soll, oder Nebenstelle und Teams-Benutzer in einem [[person]] nennen",
    "{others} may not sign in: a blocked account, or a shared mailbox": "{others} darf sich nicht anmelden: ein gesperrtes Konto, oder ein gemeinsames Postfach",
    "unblock the account in Entra, or exclude the extension": "das Konto in Entra entsperren, oder die Nebenstelle ausnehmen",
    "{others} is a guest, whose presence belongs to another organization": "{others} ist ein Gast, dessen Präsenz einer anderen Organisation gehört",
    "exclude the extension, or name the extension and the Teams user in a [[person]] if it is to be tried all the same": "die Nebenstelle ausnehmen, oder Nebenstelle und Teams-Benutzer in einem [[person]] nennen, falls es dennoch versucht werden soll",
    "Entra does not show us further mail addresses, nor which accounts are blocked: nobody is found by them": "Entra zeigt uns weder weitere Mailadressen noch gesperrte Konten: niemand wird darüber gefunden",
    "give the app the permission User.Read.All in Entra, with admin consent, if that matters": "der App in Entra die Berechtigung User.Read.All geben, mit Administratorzustimmung, falls das wichtig ist",
    "exclude names {name}, and nobody is called that": "exclude nennt {name}, und niemand heißt so",
    "correct it, or take it out": "berichtigen, oder herausnehmen",
    "{count} people more than the watchers have room for ({room}): all are polled": "{count} Personen mehr, als die Beobachter Platz haben ({room}): alle werden regelmäßig gelesen",
    "name one more in [teams.webhook] watchers per 650 people": "in [teams.webhook] watchers je 650 Personen einen mehr nennen",
    # The site itself
    "the file can't be used: {why}": "die Datei ist nicht zu gebrauchen: {why}",
    "the changed file is not used: {why}": "die geänderte Datei wird nicht verwendet: {why}",
    "mend it; it is read again then": "berichtigen; dann wird sie neu gelesen",
    "nothing is written to either side: {why}": "auf keiner Seite wird geschrieben: {why}",
    # What ends
    "app certificate {name} {when}": "das Zertifikat {name} der App {when}",
    "client secret {when}": "das Geheimnis der App {when}",
    "authority {name} {when}": "das Zertifikat der ausstellenden Stelle {name} {when}",
    "watcher sign-in {name} {when}": "die Anmeldung des Beobachters {name} {when}",
    "notification key {when}": "der Schlüssel für Benachrichtigungen {when}",
    "server certificate {name} {when}": "das Zertifikat des Servers {name} {when}",
    "3CX licence {when}": "die Lizenz von 3CX {when}",
    "ended on {day}": "endete am {day}",
    "ends {when}, on {day}": "endet {when}, am {day}",
    "in {days} days": "in {days} Tagen",
    "within a day": "binnen eines Tages",
    "make another one (docs/operate.md), upload it: Entra > App registrations > your app > Certificates & secrets > Certificates, and restart the service": "ein neues machen (docs/operate.md), hochladen: Entra > App-Registrierungen > Ihre App > Zertifikate & Geheimnisse > Zertifikate, und den Dienst neu starten",
    "Entra > App registrations > your app > Certificates & secrets > New client secret; write its Value into the secret's file, its end into client_secret_expires, and restart the service": "Entra > App-Registrierungen > Ihre App > Zertifikate & Geheimnisse > Neuer geheimer Clientschlüssel; den Wert in die Datei des Geheimnisses schreiben, das Ende in client_secret_expires, und den Dienst neu starten",
    "name the certificate of the authority that comes after it: ca_file in {sections}": "das Zertifikat der nachfolgenden Stelle nennen: ca_file in {sections}",
    "let the service run, or {command}": "den Dienst laufen lassen, oder {command}",
    "it is replaced by itself every 90 days: see that the service may write to the state folder": "er wird alle 90 Tage von selbst ersetzt: prüfen, ob der Dienst in den Zustandsordner schreiben darf",
    "renew the certificate on {host}, or see why it was not renewed by itself": "das Zertifikat auf {host} erneuern, oder nachsehen, warum es sich nicht von selbst erneuert hat",
    "renew the licence of 3CX in good time": "die Lizenz von 3CX rechtzeitig erneuern",
}


class Said(NamedTuple):
    """A sentence, and the language that it is in."""

    text: str
    language: Language


_LONGEST: Final = 2000
"""Longer than anything of ours, so it is not looked at. What is filled in is cut where it is (`errors.cut`)."""
_DEEPEST: Final = 4
"""How many sentences stand in one another, at the most. `nothing is written ...: {why}` is the first of such."""


def reason(text: str, language: Language) -> Said:
    """A trouble or a cure in the reader's language, if it is one of ours; else as it came."""
    german = _kept(text) if language == "de" and len(text) <= _LONGEST else None
    return Said(text, "en") if german is None else Said(german, "de")


@functools.lru_cache(2000)
def _kept(text: str) -> str | None:
    return _german(text, _DEEPEST)


_HOLE: Final = re.compile(r"\{(\w+)\}")


class _Pattern(NamedTuple):
    """The fixed parts of a sentence, in order, and the names of the holes between them.

    No regular expression: what fills the holes may be written by somebody who knows the sentences, and
    searching for one part after another never goes back.
    """

    fixed: tuple[str, ...]
    names: tuple[str, ...]
    german: str

    def fillings(self, text: str) -> list[str] | None:
        """What stands in the holes, never nothing; None if the text is not this sentence."""
        first, *others = self.fixed
        if not text.startswith(first):
            return None
        if not others:
            return [] if text == first else None
        found, at = [], len(first)
        for part in others[:-1]:
            end = text.find(part, at + 1)
            if end < 0:
                return None
            found.append(text[at:end])
            at = end + len(part)
        end = len(text) - len(others[-1])
        if end <= at or not text.endswith(others[-1]):
            return None
        return [*found, text[at:end]]


@functools.cache
def _patterns() -> dict[str, list[_Pattern]]:
    """By the first character, and under "" those that begin with a hole; the others hold these too.

    What says most by itself comes first. Made when the first page in German is.
    """
    by_length = sorted(GERMAN.items(), key=lambda one: -len(_HOLE.sub("", one[0])))
    parts = [(_HOLE.split(english), german) for english, german in by_length]
    every = [_Pattern(tuple(one[::2]), tuple(one[1::2]), german) for one, german in parts]
    begins = {one.fixed[0][:1] for one in every}
    return {begin: [one for one in every if one.fixed[0][:1] in {"", begin}] for begin in begins | {""}}


def _german(text: str, depth: int) -> str | None:
    """`depth` bounds the work: what is filled in is looked at as a sentence that often, and no more."""
    if not depth:
        return None
    parts = text.split("; ")
    told = [_sentence(part, depth) for part in parts]
    if len(parts) == 1 or all(told):
        return "; ".join(filter(None, told)) or None
    if (whole := _sentence(text, depth)) is not None:
        return whole
    return "; ".join(german or part for german, part in zip(told, parts, strict=True)) if any(told) else None


def _sentence(text: str, depth: int) -> str | None:
    patterns = _patterns()
    for pattern in patterns.get(text[:1], patterns[""]):
        fillings = pattern.fillings(text)
        if fillings is not None:
            told = [_german(one, depth - 1) or one for one in fillings]
            return pattern.german.format(**dict(zip(pattern.names, told, strict=True)))
    what, bracket, cure = text.partition(" (")
    if bracket and cure[:-1] and cure.endswith(")") and (german := _german(what, depth - 1)):
        return f"{german} ({_german(cure[:-1], depth - 1) or cure[:-1]})"
    return None
