"""PURE: what XAPI's entities consist of, and how a new one looks.

Names and types are those of `swagger.yaml` in 3cx/xapi-tutorial (1c6947c). A plain GET of users shows
them all, the secrets among them.
"""

from typing import Any

from presencebridge.emulators.pbx_model import PROFILES
from presencebridge.emulators.v20.errors import odata_error
from presencebridge.emulators.v20.odata import Kind, named

SECRETS = ("AccessPassword", "AuthID", "AuthPassword", "DeskphonePassword", "VMPIN")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_INTEGERS = _words("Id PinProtectTimeout PrimaryGroupId")
_BOOLEANS = _words(
    "CallUsEnableChat CallUsEnablePhone CallUsEnableVideo AIAgent AllowLanOnly AllowOwnRecordings "
    "BlockTunnel CallScreening DatevEnabled Enable2FA Enabled EnableHotdesking ForbidRecording "
    "GoogleCalendarEnabled GoogleContactsEnabled GoogleSignInEnabled HideInPhonebook Internal "
    "IsRegistered MS365CalendarEnabled MS365ContactsEnabled MS365SignInEnabled MS365TeamsEnabled "
    "MyPhoneAllowDeleteRecordings MyPhoneHideForwardings MyPhonePush MyPhoneShowRecordings "
    "PbxDeliversAudio PinProtected RecordCalls RecordEmailNotify RecordExternalCallsOnly Require2FA "
    "SendEmailMissedCalls VMDisablePinAuth VMEnabled VMPlayCallerID WebMeetingApproveParticipants"
)
_STRINGS = (
    *_words(
        "Number ClickToCallId Blfs ContactImage CurrentProfileName DisplayName EmailAddress "
        "EmergencyAdditionalInfo EmergencyLocationId FirstName HotdeskingAssignment Language LastName Mobile "
        "OutboundCallerID PromptSet SIPID WebMeetingFriendlyName"
    ),
    *SECRETS,
)
_ENUMS = {
    "CallUsRequirement": ("Both", "Name", "Email", "None"),
    "QueueStatus": ("LoggedOut", "LoggedIn"),
    "SRTPMode": ("SRTPDisabled", "SRTPEnabled", "SRTPEnforced"),
    "TranscriptionMode": ("Nothing", "Voicemail", "Recordings", "Both", "Inherit"),
    "VMEmailOptions": (
        "None",
        "Notification",
        "Attachment",
        "AttachmentAndDelete",
        "VmailToMembers",
        "EmailToExtrasOnly",
    ),
    "VMPlayMsgDateTime": ("None", "Play12Hr", "Play24Hr"),
}
_LISTS = ("OfficeHoursProps", "Tags")
_OBJECTS = ("AgentSettings", "BreakTime", "Hours")

RIGHTS = Kind(
    named(
        "AllowIVR AllowParking AllowToChangePresence AllowToManageCompanyBook AssignClearOperations "
        "CanBargeIn CanIntercom CanSeeGroupCalls CanSeeGroupMembers CanSeeGroupRecordings Invalid "
        "PerformOperations RoleName ShowMyCalls ShowMyPresence ShowMyPresenceOutside"
    )
)
FORWARDING_PROFILE = Kind(
    named(
        "AcceptMultipleCalls BlockPushCalls DisableRingGroupCalls OfficeHoursAutoQueueLogOut "
        "RingMyMobile AvailableRoute AwayRoute CustomMessage CustomName Name Id NoAnswerTimeout"
    )
)
USER_GROUP = Kind(
    named("CanDelete GroupId Id MemberName Name Number Tags TranscriptionMode Type"),
    {"GroupRights": RIGHTS, "Rights": RIGHTS},
)
USER = Kind(
    properties=frozenset([*_INTEGERS, *_BOOLEANS, *_STRINGS, *_ENUMS, *_LISTS, *_OBJECTS]),
    navigation={
        "Groups": USER_GROUP,
        "ForwardingExceptions": Kind(named("CallType Condition Data Destination Enabled Hours Id")),
        "ForwardingProfiles": FORWARDING_PROFILE,
        "Greetings": Kind(named("DisplayName Filename Type")),
        "Phones": Kind(
            named(
                "Id Interface MacAddress Name ProvisioningLinkExt ProvisioningLinkLocal Settings TemplateName"
            )
        ),
    },
    searched=("Number", "FirstName", "LastName", "EmailAddress"),
)
PEER = Kind(
    named("Hidden Id Name Number Tags Type"),
    {"MemberOf": Kind(named("GroupID IsPrimary Name Number RoleName"))},
)
SERVICE_PRINCIPAL = Kind(
    named("Id Number XAPIEnabled CallControlEnabled MyPhoneEnabled IsSystem LastUsed TranscriptionMode"),
    {"Groups": USER_GROUP, "Peers": PEER},
)
GROUP = Kind(
    named(
        "Id Number Name AllowCallService AnswerAfter BreakRoute BreakTime CallHandlingMode "
        "CallUsEnableChat CallUsEnablePhone CallUsEnableVideo CallUsRequirement ClickToCallId "
        "CurrentGroupHours CustomOperator CustomPrompt DisableCustomPrompt GloballyVisible HasMembers "
        "HolidaysRoute Hours IsDefault Language LastLoginTime MusicOnHold OfficeRoute OutOfOfficeRoute "
        "OverrideExpiresAt OverrideHolidays PromptSet Props TimeZoneId TranscriptionMode"
    ),
    {
        "Groups": USER_GROUP,
        "Members": USER_GROUP,
        "OfficeHolidays": Kind(named("Id Name")),
        "Rights": RIGHTS,
    },
)
ACTIVE_CALL = Kind(
    named("Id Caller Callee Status LastChangeStatus EstablishedAt ServerNow"),
    searched=("Caller", "Callee"),
)

_TYPES: dict[str, type] = {
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys(_BOOLEANS, bool),
    **dict.fromkeys(_STRINGS, str),
    **dict.fromkeys(_ENUMS, str),
    **dict.fromkeys((*_LISTS, *USER.navigation), list),
    **dict.fromkeys(_OBJECTS, dict),
}


def new_user(user_id: int, number: str) -> dict[str, Any]:
    """A user as 3CX fills it in: everything is there, most of it off or empty."""
    return {
        "Id": user_id,
        "Number": number,
        **dict.fromkeys(_BOOLEANS, False),
        **dict.fromkeys(_STRINGS[1:], ""),
        **{name: values[0] for name, values in _ENUMS.items()},
        **{name: [] for name in (*_LISTS, *USER.navigation)},
        "AgentSettings": None,
        "Hours": {"IgnoreHolidays": False, "Periods": [], "Type": "OfficeHours"},
        "BreakTime": {"IgnoreHolidays": False, "Periods": [], "Type": "Never"},
        "PinProtectTimeout": 0,
        "PrimaryGroupId": 1,
        "CurrentProfileName": PROFILES[0],
        "QueueStatus": "LoggedIn",
        "Enabled": True,
        "IsRegistered": True,
        "VMEnabled": True,
        "Language": "EN",
        # Not secrets of anybody: made from the number, so that a test can find them where they must not be.
        "AuthID": f"auth-{number}",
        "AuthPassword": f"emulated-sip-password-{number}",
        "AccessPassword": f"emulated-web-password-{number}",
        "DeskphonePassword": f"emulated-phone-password-{number}",
        "VMPIN": f"{user_id:06d}",
        "Groups": [
            {
                "CanDelete": True,
                "GroupId": 1,
                "Id": user_id,
                "MemberName": "",
                "Name": "DEFAULT",
                "Number": "GRP0000",
                "Tags": [],
                "TranscriptionMode": "Inherit",
                "Type": "Extension",
                "Rights": {"RoleName": "users"},
            }
        ],
    }


def forwarding_profile(profile_id: int, name: str) -> dict[str, Any]:
    is_available = name in {"Available", "Custom 1"}
    route = {"AvailableRoute": {"BusyAllCalls": True}, "AwayRoute": None}
    if not is_available:
        route = {"AvailableRoute": None, "AwayRoute": {"AllHoursExternal": True, "AllHoursInternal": True}}
    return {
        "Id": profile_id,
        "Name": name,
        "CustomName": "",
        "CustomMessage": "",
        "NoAnswerTimeout": 20,
        "AcceptMultipleCalls": False,
        "BlockPushCalls": False,
        "DisableRingGroupCalls": False,
        "OfficeHoursAutoQueueLogOut": False,
        "RingMyMobile": False,
        **route,
    }


def checked(change: Any) -> dict[str, Any]:
    """A change of a user, if the description allows it. Raises `ApiError`."""
    if not isinstance(change, dict):
        raise odata_error(400, "The request body must be a JSON object.")
    found = {name: value for name, value in change.items() if not name.startswith("@")}
    for name, value in found.items():
        kind = _TYPES.get(name)
        if kind is None:
            raise odata_error(400, f"The property '{name}' does not exist on type 'Pbx.User'.")
        if value is None:
            continue
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise odata_error(400, f"Cannot convert the value of property '{name}' to the expected type.")
        if name in _ENUMS and value not in _ENUMS[name]:
            raise odata_error(400, f"Requested value '{value}' was not found.")
    return found
