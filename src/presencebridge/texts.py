"""PURE: every text of the page, and the words for what was seen and decided, in English and German."""
# ruff: noqa: E501 - sentences are longer than lines of code

from presencebridge.bilingual import Bilingual


class Text(Bilingual):
    # The page as a whole

    LIVE = ("live", "live")
    CONNECTING = ("connecting …", "verbindet …")
    LOST = ("not connected: trying again", "keine Verbindung: wird wieder versucht")
    STILL = (
        "Without JavaScript the page is complete and stands still: load it again to see what changed. Orders are given on the command line, for example presencebridge pause 101.",
        "Ohne JavaScript ist die Seite vollständig und steht still: neu laden zeigt, was sich geändert hat. Anweisungen gibt es auf der Kommandozeile, zum Beispiel presencebridge pause 101.",
    )
    SKIP = ("Skip to the people", "Weiter zu den Personen")
    OTHER_LANGUAGE = ("Deutsch", "English")
    DRY_RUN = (
        "Dry run: everything is decided and told, nothing is written to Teams or 3CX.",
        "Probelauf: Alles wird entschieden und gezeigt, nichts wird in Teams oder 3CX geschrieben.",
    )
    READ_AGAIN = ("Read again now", "Jetzt neu lesen")
    READING = (
        "Everything is read again from both sides.",
        "Alles wird auf beiden Seiten neu gelesen.",
    )
    FAILED = ("That did not work: {why}", "Das ging nicht: {why}")

    # Links

    LINKS = ("Links", "Verbindungen")
    LINK_GRAPH = ("Microsoft Graph", "Microsoft Graph")
    LINK_3CX = ("3CX", "3CX")
    LINK_STORE = ("Saved state", "Gesicherter Stand")
    LINK_CONFIG = ("Config file", "Konfigurationsdatei")
    LINK_SITE = ("Site", "Standort")
    LINK_PEOPLE = ("Who is who", "Wer ist wer")
    LINK_SUBSCRIPTION = ("Subscription {name}", "Abonnement {name}")
    LINK_STARTING = ("starting", "startet")
    LINK_CONNECTED = ("connected", "verbunden")
    LINK_DEGRADED = ("degraded", "eingeschränkt")
    LINK_REFUSED = ("refused", "abgewiesen")
    LINK_DOWN = ("down", "getrennt")
    ENDING = ("Ends soon", "Läuft bald ab")
    SINCE = ("since", "seit")
    HOP_OPENED = ("open", "öffnen")
    HOP_NOTIFIED = ("decide", "entscheiden")
    HOP_SEEN = ("decide", "entscheiden")
    HOP_WRITE = ("write", "schreiben")
    HOP_READ = ("read", "lesen")
    HOP_TITLE = (
        "{what}: {count} in the last {minutes} minutes, on average {mean}, slowest {worst}",
        "{what}: {count} in den letzten {minutes} Minuten, im Mittel {mean}, am langsamsten {worst}",
    )
    HOP_WHAT_TEAMS_OPENED = (
        "From the arrival of a notification until it was verified and decrypted",
        "Vom Eingang einer Benachrichtigung, bis sie geprüft und entschlüsselt war",
    )
    HOP_WHAT_TEAMS_NOTIFIED = (
        "From the opened notification to the saved decision",
        "Von der geöffneten Benachrichtigung bis zur gesicherten Entscheidung",
    )
    HOP_WHAT_TEAMS_READ = ("Reading presences from Graph", "Lesen der Präsenzen von Graph")
    HOP_WHAT_TEAMS_WRITE = (
        "From the decision until Graph accepted it",
        "Von der Entscheidung, bis Graph sie angenommen hat",
    )
    HOP_WHAT_3CX_SEEN = (
        "From what was seen on 3CX to the saved decision",
        "Vom auf 3CX Gesehenen bis zur gesicherten Entscheidung",
    )
    HOP_WHAT_3CX_READ = ("Reading the calls from 3CX", "Lesen der Anrufe von 3CX")
    HOP_WHAT_3CX_WRITE = (
        "From the decision until 3CX shows it",
        "Von der Entscheidung, bis 3CX sie zeigt",
    )

    # People

    PEOPLE = ("People", "Personen")
    PERSON = ("Person", "Person")
    EXTENSION = ("Ext.", "Nst.")
    TEAMS_SHOWS = ("Teams", "Teams")
    STATUS_SHOWS = ("3CX", "3CX")
    CALLS = ("Call", "Anruf")
    WE_HOLD = ("We hold", "Wir halten")
    CONDITION = ("Condition", "Zustand")
    SEARCH = ("Search by name, address or extension", "Suche nach Name, Adresse oder Nebenstelle")
    SEARCH_BUTTON = ("Search", "Suchen")
    FOUND = ("{shown} of {all} people", "{shown} von {all} Personen")
    NOBODY = ("Nobody is like that.", "So ist niemand.")
    NOBODY_YET = ("Nobody is served so far.", "Noch wird niemand betreut.")
    ORDER = ("Order", "Reihenfolge")
    ORDER_EXTENSION = ("by extension", "nach Nebenstelle")
    ORDER_NAME = ("by name", "nach Name")
    ORDER_TROUBLE = ("trouble first", "Störungen zuerst")
    SHOW_ALL = ("people", "Personen")
    SHOW_CALL = ("on the phone", "am Telefon")
    SHOW_HELD = ("held by us", "von uns gehalten")
    SHOW_TROUBLE = ("in trouble", "gestört")
    SHOW_WAITING = ("waiting", "wartend")
    SHOW_PAUSED = ("paused", "pausiert")
    SHOW_EXCLUDED = ("excluded", "ausgenommen")
    NOT_MATCHED = ("not matched", "nicht zugeordnet")
    UNKNOWN = ("unknown", "unbekannt")
    IN_STEP = ("in step", "im Einklang")
    WORKING = ("working", "in Arbeit")
    WAITING = ("waiting", "wartet")
    TROUBLE = ("trouble", "Störung")
    PAUSED = ("paused", "pausiert")
    PAUSED_UNTIL = ("paused until", "pausiert bis")
    EXCLUDED = ("excluded", "ausgenommen")

    # What we hold, and why

    HOLDS_TEAMS = ("Teams: {value}", "Teams: {value}")
    HOLDS_STATUS = ("3CX: {value}", "3CX: {value}")
    HOLDS_NOTHING = ("nothing", "nichts")
    WHY_IN_CALL = ("on the phone", "am Telefon")
    WHY_STATUS_SHOWN = ("shows the 3CX status", "zeigt den 3CX-Status")
    WHY_TEAMS_BUSY = ("Teams: {seen}", "Teams: {seen}")
    WAS = ("was {value}", "war {value}")
    UNTIL = ("until", "bis")
    UNCONFIRMED = ("not confirmed yet", "noch nicht bestätigt")

    # A person

    BACK = ("Everybody", "Alle Personen")
    NOW = ("Now", "Jetzt")
    ORDERS = ("Orders", "Anweisungen")
    PAUSE = ("Pause", "Pausieren")
    PAUSE_HOUR = ("Pause for an hour", "Eine Stunde pausieren")
    RESUME = ("Resume", "Fortsetzen")
    ORDERED = ("Done.", "Erledigt.")
    DAY = ("The last {hours} hours", "Die letzten {hours} Stunden")
    DAY_SHORT = ("The last {minutes} minutes", "Die letzten {minutes} Minuten")
    DAY_TITLE = ("The day", "Der Tag")
    DAY_OFF = (
        "No history is kept. day_hours in [operator] keeps a few hours of everybody in memory and draws them here; tell your people first.",
        "Es wird kein Verlauf gehalten. day_hours in [operator] hält einige Stunden aller Personen im Speicher und zeichnet sie hier; vorher die Beteiligten informieren.",
    )
    DAY_PICTURE = (
        "Teams, 3CX, calls and what we held, over time; the same as a list is below",
        "Teams, 3CX, Anrufe und was wir hielten, im Verlauf; dasselbe als Liste steht darunter",
    )
    DAY_LIST = ("As a list", "Als Liste")
    DAY_FROM = ("From", "Von")
    DAY_TO = ("To", "Bis")
    DAY_LANE = ("Lane", "Spur")
    DAY_SHOWED = ("Showed", "Zeigte")
    DAY_STILL = ("now", "jetzt")
    LANE_TEAMS = ("Teams", "Teams")
    LANE_STATUS = ("3CX", "3CX")
    LANE_CALLS = ("Calls", "Anrufe")
    LANE_OURS_TEAMS = ("Held in Teams", "In Teams gehalten")
    LANE_OURS_STATUS = ("Held on 3CX", "In 3CX gehalten")
    WHY = ("Why", "Warum")
    WHY_ORDER = (
        "What was seen, and what followed; the newest first. Kept in memory only, the last {count} steps.",
        "Was gesehen wurde und was daraus folgte; das Neueste zuerst. Nur im Speicher, die letzten {count} Schritte.",
    )
    NOTHING_HAPPENED = (
        "Nothing has happened since the service started.",
        "Seit dem Start des Dienstes ist nichts geschehen.",
    )
    NO_SUCH_PERSON = ("Nobody is served by that name.", "Unter diesem Namen wird niemand betreut.")

    # Who is who

    WHO_IS_WHO = ("Who is who", "Wer ist wer")
    MATCHED = (
        "{matched} matched, {left} not ({doubles} double), as of",
        "{matched} zugeordnet, {left} nicht ({doubles} doppelt), Stand",
    )
    STILL_LOOKING = ("Still looking for who is who.", "Noch wird ermittelt, wer wer ist.")
    ADDRESS = ("Address", "Adresse")
    WHY_NOT = ("Why", "Warum")
    MORE = (
        "{count} more: presencebridge people --config FILE",
        "{count} weitere: presencebridge people --config FILE",
    )

    # Sites

    SITES = ("Sites", "Standorte")
    SITE = ("Site", "Standort")
    SITE_READY = ("in step", "im Einklang")
    SITE_NOT_READY = ("not in step", "nicht im Einklang")
    NODES = ("Nodes and their sites", "Knoten und ihre Standorte")
    THIS_NODE = ("this one", "dieser")
    ELSEWHERE = ("On other nodes", "Auf anderen Knoten")
    NO_NODE = ("nobody just now", "gerade niemand")

    # Teams' words: https://learn.microsoft.com/graph/api/resources/presence

    TEAMS_AVAILABLE = ("Available", "Verfügbar")
    TEAMS_AVAILABLEIDLE = ("Available, idle", "Verfügbar, inaktiv")
    TEAMS_AWAY = ("Away", "Abwesend")
    TEAMS_BERIGHTBACK = ("Be right back", "Bin gleich zurück")
    TEAMS_BUSY = ("Busy", "Beschäftigt")
    TEAMS_BUSYIDLE = ("Busy, idle", "Beschäftigt, inaktiv")
    TEAMS_DONOTDISTURB = ("Do not disturb", "Nicht stören")
    TEAMS_FOCUSING = ("Focusing", "Fokus")
    TEAMS_INACALL = ("In a call", "In einem Anruf")
    TEAMS_INACONFERENCECALL = ("In a conference call", "In einer Telefonkonferenz")
    TEAMS_INACTIVE = ("Inactive", "Inaktiv")
    TEAMS_INAMEETING = ("In a meeting", "In einer Besprechung")
    TEAMS_OFFLINE = ("Offline", "Offline")
    TEAMS_OFFWORK = ("Off work", "Nicht bei der Arbeit")
    TEAMS_OUTOFOFFICE = ("Out of office", "Außer Haus")
    TEAMS_PRESENCEUNKNOWN = ("Unknown", "Unbekannt")
    TEAMS_PRESENTING = ("Presenting", "Präsentiert")
    TEAMS_URGENTINTERRUPTIONSONLY = ("Urgent interruptions only", "Nur dringende Störungen")

    # 3CX's words

    STATUS_AVAILABLE = ("Available", "Verfügbar")
    STATUS_AWAY = ("Away", "Abwesend")
    STATUS_OUT_OF_OFFICE = ("Out of office", "Außer Haus")
    STATUS_CUSTOM_1 = ("Custom 1", "Eigener 1")
    STATUS_CUSTOM_2 = ("Custom 2", "Eigener 2")
    LEG_UNDEFINED = ("unclear", "unklar")
    LEG_DIALING = ("dialling", "wählt")
    LEG_RINGING = ("ringing", "klingelt")
    LEG_CONNECTED = ("talking", "spricht")
    LEG_HOLD = ("holding", "hält")
    LEG_HELD = ("on hold", "wird gehalten")
    NO_CALL = ("no call", "kein Anruf")

    # What was seen

    NOTIFIED = ("Teams was notified: {presence}", "Teams wurde gemeldet: {presence}")
    READ = ("Teams was read: {presence}", "Teams wurde gelesen: {presence}")
    STATUS_READ = ("3CX status was read: {status}", "3CX-Status wurde gelesen: {status}")
    CALLS_READ = ("3CX calls were read: {legs}", "3CX-Anrufe wurden gelesen: {legs}")
    TEAMS_SET = ("Teams accepted what we set", "Teams hat angenommen, was wir gesetzt haben")
    TEAMS_CLEARED = ("Teams ended what we had set", "Teams hat beendet, was wir gesetzt hatten")
    WRITE_FAILED = ("a write failed: {reason}", "ein Schreiben schlug fehl: {reason}")
    NOT_WRITTEN = (
        "3CX status just before writing: {before}; nothing was written",
        "3CX-Status unmittelbar vor dem Schreiben: {before}; nichts wurde geschrieben",
    )
    WRITTEN = (
        "3CX status was {before}, we wrote, and it reads {after}",
        "3CX-Status war {before}, wir haben geschrieben, und er lautet {after}",
    )
    SEEN_PAUSED = ("an operator paused this person", "diese Person wurde pausiert")
    SEEN_RESUMED = ("an operator resumed this person", "die Pause dieser Person wurde beendet")
    SEEN_TEAMSFOUND = ("Graph answers again", "Graph antwortet wieder")
    SEEN_LEGSLOST = (
        "3CX does not tell this extension's calls any more",
        "3CX zeigt die Anrufe dieser Nebenstelle nicht mehr",
    )
    SEEN_PBXLOST = ("the link to 3CX went down", "die Verbindung zu 3CX ging verloren")
    SEEN_STARTED = ("the service started", "der Dienst startete")
    SEEN_RECOGNIZED = ("Entra told who this person is", "Entra sagte, wer diese Person ist")
    SEEN_TIMERFIRED = ("the time came", "die Zeit kam")

    # What was done about it

    SET_TEAMS = (
        "set Teams to {pair} for {minutes} min: {cause}",
        "Teams auf {pair} setzen für {minutes} min: {cause}",
    )
    CLEAR_TEAMS = ("end our {pair} in Teams: {cause}", "unser {pair} in Teams beenden: {cause}")
    CHANGE_STATUS = (
        "if 3CX shows {expected}, set it to {wanted}: {cause}",
        "wenn 3CX {expected} zeigt, auf {wanted} setzen: {cause}",
    )
    OR = (" or ", " oder ")
    CAUSE_TEAMS_BUSY = ("Teams became busy (rule 1)", "Teams wurde beschäftigt (Regel 1)")
    CAUSE_TEAMS_FREE = (
        "Teams is free again and the status is ours (rule 2)",
        "Teams ist wieder frei, und der Status ist unserer (Regel 2)",
    )
    CAUSE_TEAMS_FREE_UNCLAIMED = (
        "Teams became free (rule 2, somebody's own status)",
        "Teams wurde frei (Regel 2, eigener Status der Person)",
    )
    CAUSE_HINT_REFUTED = (
        "what was notified is not so, as was read since: it is given back",
        "das Gemeldete stimmt nicht, wie seither gelesen wurde: wird zurückgegeben",
    )
    CAUSE_LET_GO = (
        "this side is not kept in step any more, as who has left or the rules now have it",
        "diese Seite wird nicht mehr im Einklang gehalten: Die Person ist ausgeschieden, oder die Regeln sind neu",
    )
    CAUSE_STATUS_NOT_SHOWN = (
        "3CX shows no status any more that belongs into Teams",
        "3CX zeigt keinen Status mehr, der in Teams gehört",
    )
    CAUSE_IN_CALL = ("in a call on 3CX (rule 3)", "im Gespräch auf 3CX (Regel 3)")
    CAUSE_STATUS_SHOWN = ("the 3CX status is shown in Teams", "der 3CX-Status wird in Teams gezeigt")
    CAUSE_LEASE_RENEWED = ("still so: it goes on in Teams", "noch immer so: es gilt in Teams weiter")
    CAUSE_CALL_OVER = ("the last call is over (rule 4)", "das letzte Gespräch ist vorbei (Regel 4)")
    NOTE_STATUS_TAKEN = (
        "3CX shows {detail}: it is ours until Teams is free",
        "3CX zeigt {detail}: unser Status, bis Teams frei ist",
    )
    NOTE_STATUS_GIVEN_BACK = (
        "3CX is back to {detail}: no longer ours",
        "3CX ist zurück auf {detail}: nicht mehr unserer",
    )
    NOTE_STATUS_FREED = ("3CX is {detail} now", "3CX ist jetzt {detail}")
    NOTE_STATUS_LEFT_ALONE = ("3CX was {detail}: left alone", "3CX war {detail}: bleibt so")
    NOTE_STATUS_CHANGED_BY_HAND = (
        "3CX was set to {detail} by somebody else: left alone from here on",
        "3CX wurde von anderer Seite auf {detail} gesetzt: bleibt von nun an so",
    )
    NOTE_STATUS_ALREADY_OURS = (
        "3CX shows {detail} already, and it is ours",
        "3CX zeigt schon {detail}, und das ist unserer",
    )
    NOTE_SESSION_SET = ("Teams accepted {detail}", "Teams hat {detail} angenommen")
    NOTE_SESSION_CLEARED = ("our {detail} has ended in Teams", "unser {detail} in Teams ist beendet")
    NOTE_LEASE_ENDED = (
        "our {detail} in Teams has ended by itself",
        "unser {detail} in Teams hat von selbst geendet",
    )
    NOTE_ECHO = (
        "Teams shows our own {detail}: that says nothing of the person",
        "Teams zeigt unser eigenes {detail}: das sagt nichts über die Person",
    )
    NOTE_WRITE_FAILED = (
        "it did not work: {detail}; it is tried again",
        "es ging nicht: {detail}; es wird wieder versucht",
    )
    NOTE_IGNORED_BY_PBX = (
        "3CX accepted the change and still shows {detail}; it is tried again",
        "3CX hat die Änderung angenommen und zeigt noch {detail}; es wird wieder versucht",
    )
    NOTE_PAUSED = ("paused: nothing is written", "pausiert: nichts wird geschrieben")
    NOTE_RESUMED = ("resumed", "fortgesetzt")
    NOTE_PAUSE_OVER = ("the pause is over", "die Pause ist vorbei")
    LOOK_ECHO_TO_CONFIRM = (
        "Teams still shows what we had set: looking again before believing it",
        "Teams zeigt noch, was wir gesetzt hatten: vor dem Glauben wird noch einmal nachgesehen",
    )
    LOOK_OVERTAKEN = (
        "that was older than what is known: looking again",
        "das war älter als das Bekannte: es wird noch einmal nachgesehen",
    )
    LOOK_TO_CONFIRM = ("looking again to be sure", "zur Sicherheit wird noch einmal nachgesehen")
    LOOK_SESSION_CLEARED = (
        "looking at what Teams shows without us",
        "nachsehen, was Teams ohne uns zeigt",
    )
