"""Every sentence of `init`, in English and German side by side."""
# ruff: noqa: E501, ISC004 - sentences are longer than lines of code

from presencebridge.bilingual import Bilingual, Language

__all__ = ("Language", "Text")


class Text(Bilingual):
    # Asking

    HELLO = (
        "A few questions, then there is a config, a certificate, and a list of what to click.\n"
        "Enter takes what stands in brackets; Ctrl-C stops, and nothing is written.",
        "Einige Fragen, danach gibt es eine Konfiguration, ein Zertifikat und eine Liste, was anzuklicken ist.\n"
        "Enter übernimmt, was in Klammern steht; Strg-C bricht ab, und nichts wird geschrieben.",
    )
    AGAIN = (
        "{file} is there already: its answers stand in brackets, and what was added by hand stays.",
        "{file} gibt es schon: Die Antworten daraus stehen in Klammern, und was von Hand dazukam, bleibt.",
    )
    NOT_READABLE = (
        "{file} is there, and is not TOML ({why}): it is left alone, and a new one is written beside it.",
        "{file} gibt es, aber es ist kein TOML ({why}): Die Datei bleibt, wie sie ist, eine neue kommt daneben.",
    )
    REGISTER = (
        "Teams is read and set by an app of your own in Entra. If there is none yet, make it now:\n"
        "  {portal} > App registrations > New registration\n"
        "  any name, accounts in this directory only, no redirect address. Its Overview shows two ids.",
        "Teams wird über eine eigene App in Entra gelesen und gesetzt. Wenn es noch keine gibt, jetzt anlegen:\n"
        "  {portal} > App-Registrierungen > Neue Registrierung\n"
        "  beliebiger Name, nur Konten in diesem Verzeichnis, keine Umleitungs-URI. Ihre Übersicht zeigt zwei IDs.",
    )
    TENANT = (
        "Directory (tenant) ID: which Microsoft 365 it is",
        "Verzeichnis-ID (Mandant): um welches Microsoft 365 es geht",
    )
    CLIENT = (
        "Application (client) ID: which app it is there",
        "Anwendungs-ID (Client): um welche App darin es geht",
    )
    NO_GUID = (
        "that is no id: it looks like 11111111-2222-3333-4444-555555555555; copy it from the app's Overview",
        "das ist keine ID: Sie sieht aus wie 11111111-2222-3333-4444-555555555555; bitte aus der Übersicht der "
        "App kopieren",
    )
    KIND = (
        "Kind of 3CX: 3cx-v20 talks to V20's own API; 3cx-web-api is V16 or V18 with 3cx-web-API on it",
        "Art der 3CX: 3cx-v20 nutzt die API der V20; 3cx-web-api ist V16 oder V18 mit 3cx-web-API darauf",
    )
    NO_KIND = ("please 3cx-v20 or 3cx-web-api", "bitte 3cx-v20 oder 3cx-web-api")
    URL_V20 = (
        "Address of the PBX, as a browser has it for the admin console (port 5001, or 443 where 3CX hosts it)",
        "Adresse der Telefonanlage wie im Browser für die Verwaltung (Port 5001, bei 3CX gehostet 443)",
    )
    URL_WEB_API = (
        "Address of 3cx-web-API: on the PBX itself it is http://127.0.0.1:8889",
        "Adresse von 3cx-web-API: Auf der Telefonanlage selbst ist sie http://127.0.0.1:8889",
    )
    NO_URL = (
        "that is no address of a PBX: such as https://pbx.example.com:5001, without a path",
        "das ist keine Adresse einer Telefonanlage: etwa https://pbx.example.com:5001, ohne Pfad",
    )
    PBX_CLIENT = (
        "Client ID of the API client in 3CX (Integrations > API): any free name, such as teamsync",
        "Client-ID des API-Clients in 3CX (Integrationen > API): ein freier Name, etwa teamsync",
    )
    NO_PBX_CLIENT = ("a name is needed", "ein Name wird gebraucht")
    PBX_KEY = (
        "Key of that API client; it is not shown as you type (Enter: later)",
        "Schlüssel dieses API-Clients; er wird beim Tippen nicht gezeigt (Enter: später)",
    )
    MATCH = (
        "Who takes part: email = whoever has the same mail address in 3CX and Entra; list = those you name",
        "Wer macht mit: email = wer in 3CX und Entra dieselbe Mailadresse hat; list = wen Sie nennen",
    )
    NO_MATCH = ("please email or list", "bitte email oder list")
    PERSON = (
        "Teams name and extension, such as: ann@example.org 101   (Enter: that is all)",
        "Teams-Name und Nebenstelle, etwa: ann@example.org 101   (Enter: das sind alle)",
    )
    NO_PERSON = (
        "please a user principal name, mail address or object id, a blank, and the extension's digits",
        "bitte Benutzerprinzipalname, Mailadresse oder Objekt-ID, ein Leerzeichen und die Ziffern der Nebenstelle",
    )
    NOBODY = ("at least one person is needed", "mindestens eine Person wird gebraucht")
    MANUAL = (
        "Leave a status alone that somebody set by hand? Recommended: yes. With no, who is free in Teams\n"
        "becomes Available on 3CX, also from an Away of their own.",
        "Einen von Hand gesetzten Status in Ruhe lassen? Empfohlen: ja. Bei nein wird, wer in Teams frei ist,\n"
        "auf 3CX Verfügbar, auch wenn die Person selbst auf Abwesend gestellt hat.",
    )
    NO_YES = ("please yes or no", "bitte ja oder nein")
    YES = ("yes", "ja")
    NO = ("no", "nein")
    PUT_IN_PLACE = (
        "Put it in the place of {file}? The old one is kept as {old}",
        "Soll sie an die Stelle von {file}? Die alte bleibt als {old}",
    )

    # What was done

    MADE_KEY = (
        "{pem}: a new key and certificate, good for two years; nobody else may read it\n"
        "{crt}: the certificate alone, to be uploaded",
        "{pem}: neuer Schlüssel mit Zertifikat, zwei Jahre gültig; nur dieses Konto darf es lesen\n"
        "{crt}: das Zertifikat allein, zum Hochladen",
    )
    KEPT_KEY = (
        "{pem}: the key that was there is kept (its certificate is {crt})",
        "{pem}: Der vorhandene Schlüssel bleibt (sein Zertifikat ist {crt})",
    )
    WROTE_PBX_KEY = ("{file}: the key of the API client", "{file}: der Schlüssel des API-Clients")
    WROTE = ("{file}: the config", "{file}: die Konfiguration")
    UNCHANGED = ("{file}: is as you say already", "{file}: steht schon so da")
    WROTE_BESIDE = (
        "{new}: the config with your answers; {file} is as it was. To take it: mv {new} {file}",
        "{new}: die Konfiguration mit Ihren Antworten; {file} ist unverändert. Zum Übernehmen: mv {new} {file}",
    )
    NOT_CARRIED_OVER = (
        "What was added to {file} by hand is not in it.",
        "Was in {file} von Hand dazukam, steht nicht darin.",
    )

    # What to click

    ENTRA = (
        "In Entra ({portal} > App registrations > your app):",
        "In Entra ({portal} > App-Registrierungen > Ihre App):",
    )
    UPLOAD = (
        "Certificates & secrets > Certificates > Upload certificate: {crt}",
        "Zertifikate & Geheimnisse > Zertifikate > Zertifikat hochladen: {crt}",
    )
    PERMISSIONS = (
        "API permissions > Add a permission > Microsoft Graph > Application permissions:",
        "API-Berechtigungen > Berechtigung hinzufügen > Microsoft Graph > Anwendungsberechtigungen:",
    )
    WHY_READ = (
        "to read what Teams shows, before and after everything we do",
        "um zu lesen, was Teams zeigt, vor und nach allem, was wir tun",
    )
    WHY_WRITE = (
        "to set In a call, and to end it; only for the people of your config",
        "um Im Gespräch zu setzen und zu beenden; nur für die Personen Ihrer Konfiguration",
    )
    WHY_USERS = ("to find people by name or mail address", "um Personen nach Name oder Mailadresse zu finden")
    WHY_ALL_USERS = (
        "to match people by all of their mail addresses, and to know blocked accounts and guests",
        "um Personen nach allen Mailadressen zuzuordnen und gesperrte Konten und Gäste zu erkennen",
    )
    DELEGATED = (
        "the same, but Delegated permissions: Presence.Read.All, for the account that owns the notifications;\n"
        "     and Authentication > Allow public client flows: yes",
        "ebenso, aber Delegierte Berechtigungen: Presence.Read.All, für das Konto, dem die Benachrichtigungen\n"
        "     gehören; und Authentifizierung > Öffentliche Clientflows zulassen: ja",
    )
    LOGIN = ("signs that account in, once", "meldet dieses Konto an, einmal")
    CONSENT = (
        "Grant admin consent, there, or with this link as an administrator:\n       {link}\n"
        "     If a page about a missing reply address follows, see under API permissions whether each has a\n"
        "     green tick.",
        "Administratorzustimmung erteilen, dort oder als Administrator mit diesem Link:\n       {link}\n"
        "     Wenn danach eine Seite über eine fehlende Antwortadresse kommt: unter API-Berechtigungen nachsehen,\n"
        "     ob jede einen grünen Haken hat.",
    )
    IN_3CX = ("In 3CX (admin console):", "In 3CX (Verwaltung):")
    API_CLIENT = (
        "Integrations > API > Add: Client ID {client}",
        "Integrationen > API > Hinzufügen: Client-ID {client}",
    )
    CONFIGURATION = (
        "3CX Configuration API Access: on; department DEFAULT, role System Admin (to see and set statuses)",
        "3CX Configuration API Access: an; Abteilung DEFAULT, Rolle System Admin (um Status zu sehen und zu setzen)",
    )
    CALL_CONTROL = (
        "3CX Call Control API Access: on (to see calls at once). Extensions to monitor, one by one: {who}",
        "3CX Call Control API Access: an (um Anrufe sofort zu sehen). Zu überwachende Nebenstellen, einzeln: {who}",
    )
    EVERYBODY = ("every extension that takes part", "jede Nebenstelle, die mitmacht")
    SAVE_KEY = (
        "Save. The key is shown once: it belongs into {file} (chmod 600)",
        "Speichern. Der Schlüssel wird einmal gezeigt: Er gehört in {file} (chmod 600)",
    )
    ALONE = (
        "3CX asks for an Enterprise licence for this. Nobody else may use this API client: it has one token.",
        "3CX verlangt dafür eine Enterprise-Lizenz. Niemand sonst darf diesen API-Client nutzen: Er hat nur ein Token.",
    )
    OWN_SYNC_OFF = (
        "Integrations > Microsoft 365 > Presence: off, or the two undo each other's work",
        "Integrationen > Microsoft 365 > Präsenz: aus, sonst machen beide die Arbeit des anderen rückgängig",
    )
    BRIDGE = (
        "On the PBX, 3cx-web-API has to run in the folder of its ini, and its port be closed to the network:\n"
        "       cd /var/lib/3cxpbx/Bin && dotnet /opt/3cx-web-api/WebAPICore.dll {port}",
        "Auf der Telefonanlage muss 3cx-web-API im Ordner ihrer Ini laufen, sein Port vom Netz aus zu sein:\n"
        "       cd /var/lib/3cxpbx/Bin && dotnet /opt/3cx-web-api/WebAPICore.dll {port}",
    )
    THEN = ("Then:", "Danach:")
    DOCTOR = (
        "tries every link and right, and says what is wrong",
        "probiert jede Verbindung und jedes Recht, sagt, was fehlt",
    )
    DRY_RUN = ("decides and tells, writes nothing", "entscheidet und erzählt, schreibt nichts")
    RUN = (
        "goes to work; with the Debian package: systemctl enable --now presencebridge",
        "geht an die Arbeit; mit dem Debian-Paket: systemctl enable --now presencebridge",
    )

    # Comments in the config

    C_HEAD = (
        "presencebridge: Teams and 3CX in step. After each change: presencebridge check --config {file}",
        "presencebridge: Teams und 3CX im Gleichschritt. Nach jeder Änderung: presencebridge check --config {file}",
    )
    C_TEAMS = (
        "The app in Entra: both ids are on its Overview",
        "Die App in Entra: Beide IDs stehen auf ihrer Übersicht",
    )
    C_CERTIFICATE = (
        "its key and certificate; what is uploaded is the .crt beside it",
        "ihr Schlüssel mit Zertifikat; hochgeladen wird die .crt daneben",
    )
    C_DELIVERY = (
        '"poll" asks, and needs no open port; "webhook" is told: see the README',
        '"poll" fragt und braucht keinen offenen Port; "webhook" wird benachrichtigt: siehe README',
    )
    C_CLOUD = ("where your Microsoft 365 is", "wo Ihr Microsoft 365 liegt")
    C_PBX = ("The phone system", "Die Telefonanlage")
    C_PBX_KEY = (
        "the key of the API client, alone in a file",
        "der Schlüssel des API-Clients, allein in einer Datei",
    )
    C_CA = (
        "the authority to trust beside the usual ones",
        "die Zertifizierungsstelle, der außer den üblichen zu trauen ist",
    )
    C_PEOPLE = (
        '"email": who has the same mail address on both sides; "list": only those below',
        '"email": wer auf beiden Seiten dieselbe Mailadresse hat; "list": nur die unten Genannten',
    )
    C_EXCLUDE = (
        "who is left alone: extensions or mail addresses",
        "wer in Ruhe gelassen wird: Nebenstellen oder Mailadressen",
    )
    C_PERSON = (
        "teams: user principal name, mail address or object id. More people: more of these",
        "teams: Benutzerprinzipalname, Mailadresse oder Objekt-ID. Weitere Personen: mehr davon",
    )
    C_POLICY = ("The rules: docs/config.md has them all", "Die Regeln: docs/config.md nennt alle")
    C_MANUAL = (
        "true: an Away that somebody set by hand stays",
        "true: Ein von Hand gesetztes Abwesend bleibt",
    )
    C_OPERATOR = (
        "The page: keep it on this machine, it shows everybody",
        "Die Seite: nur auf diesem Rechner, sie zeigt alle",
    )
    C_STATE = ("What a restart must not lose", "Was ein Neustart nicht verlieren darf")
