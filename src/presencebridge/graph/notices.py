"""PURE: what a notification says, and whether to believe it. Everything here comes from strangers.

The order is the cheapest test first: shape, subscription and client state, the sender's token, and only then
the private key; the signature is checked before anything decrypted is used.
https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

import binascii
import hashlib
import hmac
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from jwt.types import Options

from presencebridge.core.model import Presence
from presencebridge.graph import wire

CHANGE_TRACKING: Final = "0bf30f3b-4a52-48df-9a82-234910c4a086"
"""The app that sends notifications: Microsoft Graph Change Tracking."""

_CLOCKS_DIFFER_S: Final = 300
_LAST_TIME: Final = 10.0**12
_LONGEST_TOKEN: Final = 8192
_MOST_TOKENS: Final = 20
_MOST_ITEMS: Final = 1000
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - Graph's choice


class Reject(StrEnum):
    """Why a notification, or an item of it, was not believed. Strangers are never told."""

    SIZE = "size"
    SHAPE = "shape"
    SUBSCRIPTION = "unknown_subscription"
    CLIENT_STATE = "client_state"
    TENANT = "tenant"
    UNSIGNED = "validation_tokens_missing"
    FORM = "validation_token_form"
    KEY = "validation_token_key"
    FORGED = "validation_token_signature"
    TIME = "validation_token_time"
    AUDIENCE = "validation_token_audience"
    ISSUER = "validation_token_issuer"
    SENDER = "validation_token_sender"
    NOT_ENCRYPTED = "not_encrypted"
    CERTIFICATE = "unknown_certificate"
    DATA_KEY = "data_key"
    SIGNATURE = "data_signature"
    CONTENT = "content"
    REPLAYED = "replayed"
    PERSON = "unknown_person"


class Rejected(Exception):
    """Not to be believed."""

    def __init__(self, why: Reject) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(slots=True)
class Trust:
    """All that is needed to decide whether to believe. It is only read, also by other threads.

    It is made for each notification, and what is frozen takes three times as long to make.
    """

    app: str
    tenant: str
    """The tenant's id; empty where only its domain is known, and then it is not compared."""
    logins: tuple[str, ...]
    """Addresses of the sign-in whose tokens count, such as https://login.microsoftonline.com."""
    client_states: Mapping[str, str]
    """Our secret for each of our subscriptions, by the subscription's id."""
    private_keys: Mapping[str, rsa.RSAPrivateKey]
    signing_keys: Mapping[str, Any]
    """The sign-in's public keys by key id."""
    people: Container[str]
    """Object ids of those whose presence we follow, in lower case."""
    seen: Container[str]
    """Signatures of the items that were believed before."""
    good_tokens: Mapping[str, float]
    """Tokens that were verified before, and when they end."""


@dataclass(frozen=True)
class Seen:
    """An item that is believed."""

    user: str
    presence: Presence
    signature: str


@dataclass
class Letter:
    """A notification as far as it can be understood without a key, and at next to no cost."""

    items: list[wire.Notice] = field(default_factory=list)
    """Those that know our secret. Whether the sender is who it should be is not known yet."""
    tokens: tuple[str, ...] = ()
    lifecycle: list[tuple[str, str]] = field(default_factory=list)
    """Subscription and lifecycle event."""
    rejects: list[Reject] = field(default_factory=list)


@dataclass
class Opened:
    """What came of the items about one person."""

    seen: Seen | None = None
    rejects: list[Reject] = field(default_factory=list)
    superseded: int = 0
    """Items that were not opened, since a newer one was there already."""


_decode = msgspec.json.Decoder(wire.Notices).decode
_decode_presence = msgspec.json.Decoder(wire.PresenceBody).decode
_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises on a stranger's bytes."""


def sort_out(body: bytes, trust: Trust) -> Letter:
    """What the body holds that knows our secret, and why the rest is left."""
    letter = Letter()
    try:
        notices = _decode(body)
    except _NO_JSON:
        notices = None
    if notices is None or len(notices.value) > _MOST_ITEMS:
        letter.rejects.append(Reject.SHAPE)
        return letter
    letter.tokens = notices.validation_tokens or ()
    for notice in notices.value:
        why = _not_ours(notice, trust)
        if why:
            letter.rejects.append(why)
        elif notice.lifecycle_event:
            # Lifecycle notifications carry no token; all they make us do is look.
            letter.lifecycle.append((notice.subscription_id, notice.lifecycle_event))
        else:
            letter.items.append(notice)
    return letter


def _not_ours(notice: wire.Notice, trust: Trust) -> Reject | None:
    expected = trust.client_states.get(notice.subscription_id)
    if expected is None:
        return Reject.SUBSCRIPTION
    if not hmac.compare_digest(expected.encode(), (notice.client_state or "").encode("utf-8", "replace")):
        return Reject.CLIENT_STATE
    if trust.tenant and (notice.tenant_id or "").casefold() != trust.tenant.casefold():
        return Reject.TENANT
    return None


# The sender ---------------------------------------------------------------------------------------


def are_known(tokens: tuple[str, ...], trust: Trust, now: float) -> bool:
    """Whether every token was verified before, and has not ended."""
    return bool(tokens) and all(trust.good_tokens.get(token, now) > now for token in tokens)


def check_tokens(tokens: tuple[str, ...], trust: Trust, now: float) -> dict[str, float]:
    """Every token has to hold. Raises `Rejected`. Returns when each of them ends."""
    if not tokens:
        raise Rejected(Reject.UNSIGNED)
    if len(tokens) > _MOST_TOKENS:
        raise Rejected(Reject.FORM)
    ends = {}
    for token in tokens:
        end = trust.good_tokens.get(token)
        if end is None or end <= now:
            end = check_token(token, trust, now)
        ends[token] = end
    return ends


def check_token(token: str, trust: Trust, now: float) -> float:
    """Verify a validation token. Raises `Rejected`. Returns its end."""
    if len(token) > _LONGEST_TOKEN:
        raise Rejected(Reject.FORM)
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise Rejected(Reject.FORM) from None
    key = trust.signing_keys.get(str(header.get("kid")))
    if key is None:
        raise Rejected(Reject.KEY)
    try:
        claims = jwt.decode(token, key, algorithms=["RS256"], options=_ONLY_THE_SIGNATURE)
    except jwt.PyJWTError:
        raise Rejected(Reject.FORGED) from None
    return _check_claims(claims, trust, now)


_ONLY_THE_SIGNATURE: Final[Options] = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}
"""Times, audience and issuer are checked here: by our clock, and by the token's version."""


def _check_claims(claims: Mapping[str, Any], trust: Trust, now: float) -> float:
    begin, end = claims.get("nbf", 0), claims.get("exp")
    if not isinstance(end, int | float) or not isinstance(begin, int | float) or end > _LAST_TIME:
        raise Rejected(Reject.TIME)
    if not begin - _CLOCKS_DIFFER_S <= now < end + _CLOCKS_DIFFER_S:
        raise Rejected(Reject.TIME)
    if claims.get("aud") != trust.app:
        raise Rejected(Reject.AUDIENCE)
    tenant = str(claims.get("tid", ""))
    if trust.tenant and tenant.casefold() != trust.tenant.casefold():
        raise Rejected(Reject.ISSUER)
    issuers: tuple[str, ...] = ()
    sender = None
    if claims.get("ver") == "1.0":
        issuers, sender = (f"https://sts.windows.net/{tenant}/",), claims.get("appid")
    elif claims.get("ver") == "2.0":
        issuers, sender = tuple(f"{login}/{tenant}/v2.0" for login in trust.logins), claims.get("azp")
    if claims.get("iss") not in issuers:
        raise Rejected(Reject.ISSUER)
    if sender != CHANGE_TRACKING:
        raise Rejected(Reject.SENDER)
    return float(end)


# The content --------------------------------------------------------------------------------------


def not_worth_opening(notice: wire.Notice, trust: Trust) -> Reject | None:
    """What is known of an item before any decryption is paid for."""
    content = notice.encrypted_content
    if content is None:
        return Reject.NOT_ENCRYPTED
    if content.data_signature in trust.seen:
        return Reject.REPLAYED
    named = named_in_clear(notice)
    if named and named not in trust.people:
        return Reject.PERSON
    return None


def named_in_clear(notice: wire.Notice) -> str:
    """Whom an item says that it is about; empty where it does not. To be believed once it is opened."""
    return notice.resource_data.id.casefold() if notice.resource_data else ""


def open_newest(notices: Sequence[wire.Notice], trust: Trust) -> Opened:
    """Of several items about a person, in the order they came, the newest that can be believed.

    What is older than that says nothing new, and its decryption is left out. A forged item hides nobody's: it
    can't be opened, and the one before it is taken.
    """
    opened = Opened()
    for number in range(len(notices) - 1, -1, -1):
        try:
            opened.seen = open_item(notices[number], trust)
        except Rejected as rejected:
            opened.rejects.append(rejected.why)
        else:
            opened.superseded = number
            break
    return opened


def open_item(notice: wire.Notice, trust: Trust) -> Seen:
    """Decrypt an item. Raises `Rejected`."""
    content = notice.encrypted_content
    if content is None:
        raise Rejected(Reject.NOT_ENCRYPTED)
    key = trust.private_keys.get(content.encryption_certificate_id)
    if key is None:
        raise Rejected(Reject.CERTIFICATE)
    try:
        body = _decode_presence(decrypt(content, key))
    except _NO_JSON:
        raise Rejected(Reject.CONTENT) from None
    named, user = named_in_clear(notice), body.id.casefold()
    if named and named != user:
        raise Rejected(Reject.CONTENT)
    if user not in trust.people:
        raise Rejected(Reject.PERSON)
    return Seen(body.id, Presence(body.availability, body.activity), content.data_signature)


def decrypt(content: wire.EncryptedContent, private_key: rsa.RSAPrivateKey) -> bytes:
    """The plain text of an item: RSA-OAEP (SHA-1) for the key, HMAC-SHA256 over the data, AES-CBC.

    Raises `Rejected`. The initialisation vector is the first 16 bytes of the key.
    """
    try:
        sealed = binascii.a2b_base64(content.data_key, strict_mode=True)
        data = binascii.a2b_base64(content.data, strict_mode=True)
        signature = binascii.a2b_base64(content.data_signature, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Rejected(Reject.CONTENT) from None
    if binascii.b2a_base64(signature, newline=False).decode() != content.data_signature:
        raise Rejected(Reject.CONTENT)  # with a second spelling, an item could be replayed unnoticed
    try:
        key = private_key.decrypt(sealed, _OAEP)
    except ValueError:
        raise Rejected(Reject.DATA_KEY) from None
    if not hmac.compare_digest(hmac.digest(key, data, hashlib.sha256), signature):
        raise Rejected(Reject.SIGNATURE)
    try:
        decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        padded = decryptor.update(data) + decryptor.finalize()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise Rejected(Reject.CONTENT) from None
