"""PURE: the settings of a PBX that bear on presence, in XAPI's words: names of statuses, its own Teams sync.

Names and nesting are those of `swagger.yaml` in 3cx/xapi-tutorial (ceb6d0d): `AdUsers` and
`StatusSyncConfiguration` are complex properties, so they are there without `$expand`; none of these holds a
secret. (`Microsoft365TeamsIntegration`, which does, is Direct Routing and not here.)
"""

from typing import Any

from presencebridge.emulators.v20.odata import Kind, named

SYNCED_PBX = ("Available", "OutOfOffice", "Away")
"""The statuses that 3CX's own Teams sync knows on its side; no custom ones."""

SYNCED_M365 = (
    *("Available", "Busy", "Away", "AvailableIdle", "BusyIdle"),
    *("DoNotDisturb", "BeRightBack", "InMeeting", "InCall"),
)
"""And on the side of Teams."""

_CUSTOM = {"Custom 1": "NameOfCustomAvailableStatus", "Custom 2": "NameOfCustomOutOfOfficeStatus"}

MICROSOFT365 = Kind(named("Id TenantId ApplicationId AdUsers SharedMailboxesSync"))
APPS = Kind(
    named(
        "AllowBlockCalls AllowChangePassword AutoSchedulerSettings AvatarStyle BrandLogoImage "
        "BrandMainImage BrandUrl EnableChat EnableSelectorCallerId HideAbandonedQueueCalls HideCRMContacts "
        "HideInteractionHistory HideSystemExtensions NameOfCustomAvailableStatus "
        "NameOfCustomOutOfOfficeStatus"
    )
)
DIAL_CODES = Kind(
    named(
        "DialCodeBillingCode DialCodeHideCallerID DialCodeHotdesking DialCodeHotelAccess DialCodeIntercom "
        "DialCodeLoggedInQueue DialCodeLoggedOutQueue DialCodeOutOffice DialCodePark DialCodePickup "
        "DialCodeProfileStatus DialCodeUnpark DialCodeVMail"
    )
)
LICENSE = Kind(
    named(
        "Activated ActiveModules AdminEMail CompanyName ContactName CountryCode CountryName EMail "
        "ExpirationDate LicenseActive LicenseKey MaintenanceExpiresAt MaxSimCalls ProductCode ResellerName "
        "SimMeetingParticipants Support Telephone Version"
    )
)
SYSTEM_STATUS = Kind(
    named(
        "Activated AutoUpdateEnabled AvailableLocalIps BackupScheduled CallsActive ChatUsedSpace "
        "CurrentLocalIp DBMaintenanceInProgress DiskUsage ExpirationDate ExtensionsRegistered "
        "ExtensionsTotal FQDN FreeDiskSpace HasNotRunningServices HasUnregisteredSystemExtensions Id Ip IpV4 "
        "IpV6 IsAuditLogEnabled IsChatLogEnabled IsRecordingArchiveEnabled LastBackupDateTime "
        "LastCheckForUpdates LastSuccessfulUpdate LicenseActive LicenseKey LocalIpValid LogUsedSpace "
        "MaintenanceExpiresAt MaxSimCalls MaxUserExtensions OS OutboundRules ProductCode RecordingQuota "
        "RecordingQuotaReached RecordingStopped RecordingUsedSpace RemoteConfigurationRequired "
        "RemoteStorageEnabled RemoteStorageStatus ResellerName Support TotalDiskSpace TrunksRegistered "
        "TrunksTotal UserExtensions Version VoicemailQuotaReached VoicemailStopped"
    )
)
SYSTEM_PARAMETERS = Kind(
    named(
        "AIVersion Custom1Name Custom2Name ENL ENLRange EmRuleCreationAllowed FQDN FirstExternalPort "
        "GlobalACPRMSET GlobalLanguage HttpPort HttpsPort IpV6 Is3CXFQDN IsChatLogEnabled IsHosted "
        "IsHosted3CX IsMulticompanyMode IsRemoteBackup IsStaticIp IsTranscriptionEnabled License "
        "MaxDIDPerTrunk PbxExternalHost ProcessorCount RemoteStorageStatus RpsEnabled SipPort SipsPort "
        "StaticIp StunIp TunnnelPort Version WebrtcLastPort"
    )
)


class Settings:
    """What an administrator may change; each is kept as XAPI shows it."""

    def __init__(self) -> None:
        self.apps: dict[str, Any] = {
            "AllowBlockCalls": True,
            "AllowChangePassword": True,
            "AutoSchedulerSettings": {
                "Enabled": False,
                "ProfileAvailable": "",
                "ProfileAway": "",
                "ProfileDND": "",
            },
            "AvatarStyle": None,
            "BrandLogoImage": None,
            "BrandMainImage": None,
            "BrandUrl": None,
            "EnableChat": True,
            "EnableSelectorCallerId": False,
            "HideAbandonedQueueCalls": False,
            "HideCRMContacts": False,
            "HideInteractionHistory": False,
            "HideSystemExtensions": False,
            "NameOfCustomAvailableStatus": "",
            "NameOfCustomOutOfOfficeStatus": "",
        }
        self.dial_codes: dict[str, Any] = {
            **dict.fromkeys(sorted(DIAL_CODES.properties), ""),
            "DialCodeProfileStatus": "*3",
            "DialCodeLoggedInQueue": "*62",
            "DialCodeLoggedOutQueue": "*63",
        }
        self.microsoft365: dict[str, Any] = {
            "Id": 0,
            "TenantId": "",
            "ApplicationId": "",
            "AdUsers": {
                "IsEnabled": False,
                "EnableSSO": False,
                "IsSyncDepartments": False,
                "IsSyncDetails": False,
                "IsSyncOfficePhone": False,
                "IsSyncPhoto": False,
                "SelectedGroups": [],
                "SelectedUsers": [],
                "SetTeamsPresence": False,
                "StartingExtensionNumber": "",
                "StatusSyncConfiguration": None,
                "SyncEvents": False,
                "SyncGuestUsers": False,
                "SyncPersonalContacts": False,
                "SyncType": None,
            },
            "SharedMailboxesSync": {"IsEnabled": False, "SelectedUsers": [], "SyncType": None},
        }

    @property
    def custom_names(self) -> dict[str, str]:
        """What the two custom statuses are called on the whole PBX; empty: not renamed."""
        return {profile: self.apps[name] or "" for profile, name in _CUSTOM.items()}

    def rename(self, names: dict[str, str]) -> None:
        for profile, name in names.items():
            self.apps[_CUSTOM[profile]] = name

    def label(self, user: dict[str, Any], profile: str) -> str:
        """What the user's own apps call this profile: the user's name of it, else the PBX's, else its own."""
        profiles: list[dict[str, Any]] = user["ForwardingProfiles"]
        own = next((each for each in profiles if each.get("Name") == profile), {})
        return own.get("CustomName") or self.custom_names.get(profile) or profile
