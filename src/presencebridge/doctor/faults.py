"""PURE: everything that can be found wrong, with the command or the click that repairs it.

docs/doctor.md lists them all. What stands in braces is filled in where the fault is found; `{config}` is
always the config file.
"""

from enum import Enum, unique
from typing import Final

_ENTRA: Final = "Entra > App registrations > your app > "
_ENTRA_RIGHT: Final = (
    _ENTRA + "API permissions > Add a permission > Microsoft "
    "Graph > Application permissions > {permission}; "
    "then Grant admin consent"
)
_API_CLIENT: Final = "3CX > Integrations > API > {client}: "


@unique
class Fault(Enum):
    """Each with its cure."""

    # This machine
    ADVICE = "{advice}"
    KEPT_FROM_SERVICE = (
        "a secret belongs to root: mv {file} /etc/presencebridge/secrets/ and name it there in {config}; "
        "what is none, the account may read: chmod 644 {file}, and 755 for the folders above it"
    )
    CREDENTIAL_UNUSABLE = "name a PEM file with certificate and private key, or make one: {init}"
    APP_CERTIFICATE_ENDED = (
        "mv {file} {file}.old && {init}   and upload the new app.crt: "
        + _ENTRA
        + "Certificates & secrets > Certificates"
    )
    APP_CERTIFICATE_ENDS_SOON = (
        "in good time: mv {file} {file}.old && {init}   then upload the new app.crt: "
        + _ENTRA
        + "Certificates & secrets > Certificates, and restart the service"
    )
    SECRET_ENDS_SOON = (
        _ENTRA + "Certificates & secrets > New client secret; write its Value into {file} and its end into "
        "client_secret_expires in {config}, and restart the service"
    )
    EXPIRES_SOON = "{expiry_cure}"
    APP_CERTIFICATE_NOT_YET = "see that this machine's clock is right (timedatectl), or make another: {init}"
    STATE_FOLDER_UNUSABLE = (
        "install -d -o presencebridge -m 700 {folder}   or name another: [state] dir in {config}; "
        "and run doctor as the account that the service runs as"
    )
    DISK_FULL = "free space on the disk of {folder} (df -h {folder})"
    DISK_NEARLY_FULL = "free space soon on the disk of {folder} (df -h {folder})"
    PORT_TAKEN = "stop what uses it (ss -ltnp 'sport = :{port}' names it), or give {word} another port"
    OPERATOR_REFUSES = (
        "restart the service, so that it reads the token anew; or name the config that it runs with"
    )
    PROBE_FAILS = "try again; the text says what stood in the way"
    NODE_APART = "see that NATS answers and cluster_key_file is that of the other nodes: docs/cluster.md"
    SERVICE_STUCK = "restart the service; its log says what it was at"

    # The way to each side
    PROXY_UNREACHABLE = (
        "correct HTTPS_PROXY in the environment, or unset it; NO_PROXY={host} leaves this host out of it"
    )
    PROXY_REFUSES = (
        "let the proxy pass {host}, or give it a user: HTTPS_PROXY=http://user:password@proxy:port"
    )
    NAME_UNKNOWN = "correct {word}, or this machine's name resolution: getent hosts {host} must answer"
    PORT_CLOSED = "correct {word} (address and port), start what should listen there, or open the firewall"
    NO_ANSWER = "open the firewall for this machine to {host}:{port}, or correct {word}"
    CERTIFICATE_UNTRUSTED = (
        "get the certificate of the authority that signed "
        "it (your own, or that of a proxy that opens TLS) as a "
        "PEM file, and name it: ca_file in {section}"
    )
    CERTIFICATE_ENDED = (
        "renew the certificate on {host}; if it is good, this machine's clock is wrong: timedatectl"
    )
    CERTIFICATE_NOT_YET = "set this machine's clock (timedatectl), or the one of {host}"
    CERTIFICATE_OF_ANOTHER = "use the name that stands in the certificate in {word}: {names}"
    TLS_FAILS = "correct {word}: https where TLS is spoken, http where it is not; and the port"
    NOT_HTTP = "correct {word}: see what listens at {host}:{port}, and whether it wants https"
    CLOCK_WRONG = "set this machine's clock: timedatectl set-ntp true"
    CLOCK_DRIFTS = "let this machine keep its time by itself: timedatectl set-ntp true"
    CLOCK_OF_3CX = "set the clock of the PBX: timedatectl set-ntp true, there"

    # Microsoft
    TENANT_UNKNOWN = (
        "copy the Directory (tenant) ID into tenant_id: Entra > App registrations > your app > Overview"
    )
    APP_UNKNOWN = (
        "copy the Application (client) ID into client_id: Entra > App registrations > your app > Overview"
    )
    SECRET_WRONG = (
        _ENTRA + "Certificates & secrets > New client secret; write its Value (not its ID) into {file}"
    )
    SECRET_ENDED = _ENTRA + "Certificates & secrets > New client secret; write its Value into {file}"
    CERTIFICATE_UNREGISTERED = _ENTRA + "Certificates & secrets > Certificates > Upload certificate: {file}"
    APP_DISABLED = (
        "Entra > Enterprise applications > your app > Properties > Enabled for users to sign in: Yes"
    )
    SIGN_IN_REFUSED = "check tenant_id, client_id and the app's certificate or secret in Entra"
    SIGN_IN_FAILS = "try again; if it stays so, see what lies between: a proxy, a firewall"
    NO_PRESENCE_READ = _ENTRA_RIGHT + "  (to read what Teams shows)"
    NO_PRESENCE_WRITE = _ENTRA_RIGHT + "  (to set and end In a call)"
    NO_USER_READ = _ENTRA_RIGHT + "  (to find people by name or mail), or give object ids in [[person]]"
    NO_USER_READ_ALL = _ENTRA_RIGHT + "  (to match by further addresses)"
    GRAPH_FAILS = "try again; https://status.cloud.microsoft shows whether Microsoft has trouble"
    PEOPLE_UNKNOWN = (
        "correct teams = of {who} in {config}: the user principal name, mail or object id from Entra"
    )
    PEOPLE_SEVERAL = (
        "correct teams = of {who} in {config}: the user principal name or object id from Entra; "
        "or leave the address to one of them in Entra"
    )
    PEOPLE_DOUBLE = "one Teams user has one extension: take one [[person]] of {who} out of {config}"
    PEOPLE_WITHOUT_PRESENCE = "see that {who} has a licence with Teams and has signed in to Teams once"
    SESSION_NOT_SHOWN = (
        "see whether a preferred presence stands in the way: "
        "presencebridge teams clear {who} --preferred --config {config}"
    )

    # The webhook
    WEBHOOK_UNREACHABLE = (
        "see that {url} leads to the web server in front, and it to {listen}: packaging/nginx has an example"
    )
    WEBHOOK_ANSWERS_OTHERWISE = (
        "let the web server pass {url} with its query to "
        "http://{listen} unchanged: packaging/nginx has an example"
    )
    WEBHOOK_CERTIFICATE = (
        "give the web server in front a certificate of a public authority, with its whole chain"
    )
    NOT_SIGNED_IN = "presencebridge login --watcher {watcher} --config {config}"
    SIGNED_OUT = "presencebridge login --watcher {watcher} --config {config}   (the sign-in has died)"
    NO_SUBSCRIPTION = "presencebridge status --config {config} says why the service has none"
    SUBSCRIPTION_ELSEWHERE = (
        "give each installation an account of its own, or delete it: "
        "presencebridge teams subscriptions delete --watcher {watcher} --config {config}"
    )
    SUBSCRIPTION_ENDS_SOON = "presencebridge teams subscriptions renew --watcher {watcher} --config {config}"

    # 3CX
    NOT_V20 = 'correct [pbx] url and kind: before V20 it is kind = "3cx-web-api"'
    API_CLIENT_REFUSED = (
        "3CX > Integrations > API: client_id is the Client ID "
        "there; its key is shown once, so make a new one if it "
        "is lost, and write it into {file}"
    )
    PBX_FAILS = "try again; presencebridge pbx calls --config {config} shows whether it stays so"
    NO_CONFIGURATION_API = (
        _API_CLIENT + "tick 3CX Configuration API Access, department DEFAULT, role System Admin "
        "(needs an Enterprise licence)"
    )
    LICENCE_ENDED = "renew the licence of 3CX; its dashboard shows it"
    LICENCE_ENDS_SOON = "renew the licence of 3CX in good time"
    EXTENSIONS_UNKNOWN = "correct extension = of {who} in {config}, or make it on 3CX"
    STATUS_NAME_UNKNOWN = (
        "take back the name that {who} gave a status on "
        "3CX; and see that the role of the API client may read it"
    )
    NO_CALL_CONTROL = (
        _API_CLIENT
        + 'tick Call Control API Access (needs an Enterprise licence), or calls_via = "active-calls" '
        "in [pbx]"
    )
    NOT_MONITORED = _API_CLIENT + "extensions to monitor > add {who}"
    NO_WEBSOCKET = "let what lies between pass websockets to {url}/callcontrol/ws (a reverse proxy: Upgrade)"
    NO_ACTIVE_CALLS = _API_CLIENT + "role System Admin, department DEFAULT"
    NO_STATUS_WRITE = (
        _API_CLIENT + "role System Admin, department DEFAULT; or set statuses by a bridge: docs/3cx-v20.md"
    )
    STATUS_WRITE_IGNORED = (
        'let there be a second way: status_via = ["xapi", "bridge"] in [pbx], see docs/3cx-v20.md'
    )
    STATUS_WRITE_FAILS = "presencebridge pbx set {who} Away --config {config} shows whether it stays so"
    OWN_SYNC = "3CX > Integrations > Microsoft 365 > Presence: turn it off"
    BRIDGE_SILENT = (
        "restart 3cx-web-API with the PBX's own ini: cd "
        "/var/lib/3cxpbx/Bin && dotnet /opt/3cx-web-api/WebAPICore.dll "
        "{port}"
    )
    NOT_THE_BRIDGE = "correct [pbx] url: it has to lead to 3cx-web-API"
    BRIDGE_IGNORES = "see what 3cx-web-API prints at /setstatus/{who}/away, and restart it"
    EXTENSIONS_UNANSWERED = (
        "correct extension = of {who} in {config}, or make it on 3CX; and it needs all five statuses"
    )
    STATUS_BRIDGE_FAILS = "correct [pbx.bridge] url and kind, and see that it runs on the machine of the PBX"
    STATUS_BRIDGE_KEY = "write the key that 3CXStatusWebApi was given into {file}"

    # People, and the running service
    NOBODY_MATCHED = (
        "give people the same mail address on 3CX as in Entra, or name them in [[person]]: docs/matching.md"
    )
    PEOPLE_UNMATCHED = "{first}"
    LIST_EMPTY = "see that the role of the API client on 3CX, and the app's permissions, show all users"
    LINK_TROUBLED = "{link_cure}"
    PEOPLE_IN_TROUBLE = "presencebridge why {who} --config {config}"
    NOTHING_HEARD = "restart the service, and look into its log"

    @property
    def word(self) -> str:
        """What it is called in the JSON and the documents."""
        return self.name.lower().replace("_", "-")
