"""What a notification says, and whether to believe it: bodies in, values out."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import example, given, settings
from hypothesis import strategies as st
from notice_kit import (
    ANN,
    APP,
    BEN,
    CLIENT_STATE,
    LOGIN,
    NOW,
    OTHER_TENANT,
    SENDER,
    STRANGER,
    SUBSCRIPTION,
    TENANT,
    b64,
    body,
    claims,
    item,
    lifecycle,
    old_claims,
    presence,
    rsa_key,
    sealed,
    sealed_raw,
    signed,
    token,
    token_by_hmac,
    token_without_signature,
    trust,
    understand,
)

from presencebridge.core.model import Presence
from presencebridge.graph.notices import CHANGE_TRACKING, Reject, Seen

BUSY = Presence("Busy", "InACall")


def rejects(raw: bytes, **other: Any) -> list[Reject]:
    understood = understand(raw, trust(**other), NOW)
    assert not understood.seen
    assert not understood.lifecycle
    return understood.rejects


class NeverUsed:
    """A private key that must not be asked for anything."""

    def decrypt(self, *_: object) -> bytes:
        raise AssertionError("a decryption was paid for")


# What is believed ---------------------------------------------------------------------------------


def test_a_notification_in_microsofts_form_is_believed():
    content = sealed(presence())
    understood = understand(body(item(content)), trust(), NOW)
    assert understood.seen == [Seen(ANN, BUSY, content["dataSignature"])]
    assert understood.rejects == []
    assert understood.lifecycle == []
    assert list(understood.tokens.values()) == [NOW + 86_400]


def test_the_sender_is_graph_change_tracking():
    assert CHANGE_TRACKING == SENDER == "0bf30f3b-4a52-48df-9a82-234910c4a086"


def test_a_token_of_version_1_is_believed_too():
    assert understand(body(item(sealed(presence())), tokens=[token(old_claims())]), trust(), NOW).seen


def test_a_token_of_a_private_sign_in_is_believed_if_it_is_ours():
    mine = claims(iss=f"http://127.0.0.1:9/{TENANT}/v2.0")
    assert understand(body(item(sealed(presence())), tokens=[token(mine)]), trust(), NOW).seen


@pytest.mark.parametrize("length", [16, 24, 32])
def test_a_data_key_may_have_any_length_that_aes_has(length):
    content = sealed(presence(), data_key=bytes(range(length)))
    assert understand(body(item(content)), trust(), NOW).seen


def test_an_item_for_an_older_key_of_ours_is_opened_with_it():
    content = sealed(presence(), recipient="older", named="older")
    assert understand(body(item(content)), trust(), NOW).seen


def test_what_microsoft_adds_one_day_changes_nothing():
    content = sealed(presence(statusMessage={"message": {"content": "x"}}, sequenceNumber="9", new=[1]))
    one = item({**content, "new": "x"}, evenNewer={"a": [1, 2]})
    one["resourceData"]["newer"] = 7
    raw = json.loads(body(one)) | {"newest": None}
    assert understand(json.dumps(raw).encode(), trust(), NOW).seen


def test_no_id_in_the_clear_is_no_fault():
    assert understand(body(item(sealed(presence()), user=None)), trust(), NOW).seen


def test_a_tenant_known_only_by_its_domain_is_not_compared():
    mine = claims(iss=f"{LOGIN}/{OTHER_TENANT}/v2.0", tid=OTHER_TENANT)
    raw = body(item(sealed(presence()), tenantId=OTHER_TENANT), tokens=[token(mine)])
    assert understand(raw, trust(tenant=""), NOW).seen
    assert rejects(raw) == [Reject.TENANT]


def test_upper_and_lower_case_of_ids_are_the_same():
    content = sealed(presence(ANN.upper()))
    raw = body(item(content, user=ANN.upper(), tenantId=TENANT.upper()))
    (seen,) = understand(raw, trust(), NOW).seen
    assert seen.user.lower() == ANN
    mixed = body(item(sealed(presence(ANN.upper())), user=ANN))
    assert understand(mixed, trust(), NOW).seen


def test_items_with_data_keys_and_fates_of_their_own_share_a_body():
    good = sealed(presence(), data_key=b"1" * 32)
    also = sealed(presence(BEN, "Available", "Available"), data_key=b"2" * 16)
    bad = {**sealed(presence(BEN), data_key=b"3" * 32), "dataSignature": also["dataSignature"]}
    torn = {**sealed(presence(BEN), data_key=b"4" * 32), "dataSignature": good["dataSignature"][::-1]}
    wrong = sealed(presence(BEN), data_key=b"5" * 32, recipient="older")
    raw = body(
        item(good),
        lifecycle(),
        item(bad, BEN),
        item(also, BEN),
        item(sealed(presence(STRANGER), data_key=b"6" * 32), STRANGER),
        item(good),
        item(torn, BEN),
        item(wrong, BEN),
        item(good, subscriptionId="another"),
    )
    understood = understand(raw, trust(), NOW)
    assert [(seen.user, str(seen.presence)) for seen in understood.seen] == [
        (ANN, "Busy/InACall"),
        (BEN, "Available/Available"),
    ]
    assert understood.lifecycle == [(SUBSCRIPTION, "reauthorizationRequired")]
    assert understood.rejects == [
        Reject.SUBSCRIPTION,
        Reject.SIGNATURE,
        Reject.PERSON,
        Reject.REPLAYED,
        Reject.CONTENT,
        Reject.DATA_KEY,
    ]


@pytest.mark.parametrize("event", ["reauthorizationRequired", "missed", "subscriptionRemoved", "new"])
def test_a_lifecycle_event_needs_no_token_but_our_secret(event):
    for tokens in (None, [], ["nonsense"]):
        understood = understand(body(lifecycle(event), tokens=tokens), trust(), NOW)
        assert understood.lifecycle == [(SUBSCRIPTION, event)]
        assert understood.rejects == []
    assert rejects(body(lifecycle(event, clientState="x"))) == [Reject.CLIENT_STATE]
    assert rejects(body(lifecycle(event, subscriptionId="x"))) == [Reject.SUBSCRIPTION]
    assert rejects(body(lifecycle(event, tenantId=OTHER_TENANT))) == [Reject.TENANT]


# Shape and size -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"\xff\xfe",
        b'{"value":"\xff"}',
        b'{"value":[{"subscriptionId":"\xff\xff"}]}',
        b'{"value":[{"subscriptionId":"\\ud800"}]}',
        b'{"value":null}',
        b'{"value":{}}',
        b'{"value":[1]}',
        b'{"value":[{}]}',
        b'{"value":[{"subscriptionId":7}]}',
        b'{"value":[{"subscriptionId":"a","encryptedContent":{"data":"x"}}]}',
        b'{"value":[{"subscriptionId":"a","resourceData":[]}]}',
        b'{"value":[],"validationTokens":[7]}',
        b'{"value":[],"validationTokens":"abc"}',
        b'{"value":[]',
        b'{"value":[]} x',
        b'{"value":' + b"[" * 100_000,
        b'{"value":[],"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"value":[],"more":' + b'{"a":' * 100_000,
    ],
)
def test_what_is_no_notification_is_of_the_wrong_shape(raw):
    assert rejects(raw) == [Reject.SHAPE]


def test_huge_numbers_and_doubled_words_do_no_harm():
    content = json.dumps(sealed(presence()))
    raw = (
        f'{{"value":[{{"subscriptionId":"x","more":{"9" * 5000},"more":1e999,'
        f'"subscriptionId":"{SUBSCRIPTION}","clientState":"{CLIENT_STATE}","tenantId":"{TENANT}","encryptedContent":{content}}}],'
        f'"validationTokens":["{token()}"]}}'
    )
    understood = understand(raw.encode(), trust(), NOW)
    assert [seen.user for seen in understood.seen] == [ANN]


def test_a_thousand_items_are_read_and_one_more_is_too_many():
    one = item(None, subscriptionId="x")
    assert rejects(body(*[one] * 1000)) == [Reject.SUBSCRIPTION] * 1000
    assert rejects(body(*[one] * 1001)) == [Reject.SHAPE]


def test_no_items_are_nothing():
    assert rejects(b'{"value":[]}') == []


# Ours or not --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"subscriptionId": "another"}, Reject.SUBSCRIPTION),
        ({"subscriptionId": SUBSCRIPTION.upper()}, Reject.SUBSCRIPTION),
        ({"clientState": "guess"}, Reject.CLIENT_STATE),
        ({"clientState": ""}, Reject.CLIENT_STATE),
        ({"clientState": None}, Reject.CLIENT_STATE),
        ({"clientState": CLIENT_STATE + " "}, Reject.CLIENT_STATE),
        ({"clientState": "ä secret of ours"}, Reject.CLIENT_STATE),
        ({"tenantId": OTHER_TENANT}, Reject.TENANT),
        ({"tenantId": None}, Reject.TENANT),
    ],
)
def test_an_item_that_is_not_ours_is_left_before_anything_costs(change, why):
    one = item(sealed(presence()), **change)
    nothing = {"private_keys": {"ours": NeverUsed()}, "signing_keys": {}}
    assert rejects(body(one), **nothing) == [why]


# The sender ---------------------------------------------------------------------------------------

_PEM = (
    rsa_key("entra")
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
)
_GOOD = token()


def altered(text: str, part: int) -> str:
    parts = text.split(".")
    middle = len(parts[part]) // 2
    other = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + other + parts[part][middle + 1 :]
    return ".".join(parts)


def with_tenant(text: str) -> str:
    """A token whose claims were exchanged after it was signed."""
    head, _, tail = text.split(".")
    fresh = base64.urlsafe_b64encode(json.dumps(claims(oid="x")).encode()).rstrip(b"=").decode()
    return f"{head}.{fresh}.{tail}"


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        (None, Reject.UNSIGNED),
        ([], Reject.UNSIGNED),
        ([""], Reject.FORM),
        (["nonsense"], Reject.FORM),
        (["a.b.c"], Reject.FORM),
        (["..."], Reject.FORM),
        (["\u20ac.\u20ac.\u20ac"], Reject.FORM),
        ([b64(b"[" * 6000)[:8000] + ".e30.AA"], Reject.FORM),
        ([_GOOD + "A" * 8192], Reject.FORM),
        ([_GOOD] * 21, Reject.FORM),
        ([token(kid="k2")], Reject.KEY),
        ([token(kid=None)], Reject.KEY),
        ([altered(_GOOD, 2)], Reject.FORGED),
        ([with_tenant(_GOOD)], Reject.FORGED),
        ([_GOOD.rpartition(".")[0] + "."], Reject.FORGED),
        ([token(signer="another")], Reject.FORGED),
        ([token_without_signature()], Reject.FORGED),
        ([token_by_hmac(_PEM)], Reject.FORGED),
        ([token_by_hmac(b"")], Reject.FORGED),
        ([token(alg="RS512")], Reject.FORGED),
        ([token(claims(exp=int(NOW) - 301))], Reject.TIME),
        ([token(claims(nbf=int(NOW) + 301))], Reject.TIME),
        ([token(claims(exp=None))], Reject.TIME),
        ([token(claims(exp="tomorrow"))], Reject.TIME),
        ([token(claims(exp=10**400))], Reject.TIME),
        ([token(claims(exp=float("nan")))], Reject.TIME),
        ([token(claims(nbf="today"))], Reject.TIME),
        ([token(claims(aud=SENDER))], Reject.AUDIENCE),
        ([token(claims(aud=[APP, SENDER]))], Reject.AUDIENCE),
        ([token(claims(aud=None))], Reject.AUDIENCE),
        ([token(claims(aud=APP.upper()))], Reject.AUDIENCE),
        ([token(claims(tid=OTHER_TENANT))], Reject.ISSUER),
        ([token(claims(tid=None))], Reject.ISSUER),
        ([token(claims(tid=OTHER_TENANT, iss=f"{LOGIN}/{OTHER_TENANT}/v2.0"))], Reject.ISSUER),
        ([token(claims(iss=f"{LOGIN}/{OTHER_TENANT}/v2.0"))], Reject.ISSUER),
        ([token(claims(iss=f"https://evil.example.com/{TENANT}/v2.0"))], Reject.ISSUER),
        ([token(claims(iss=f"{LOGIN}/{TENANT}/v2.0/"))], Reject.ISSUER),
        ([token(claims(iss=f"https://sts.windows.net/{TENANT}/"))], Reject.ISSUER),
        ([token(claims(iss=None))], Reject.ISSUER),
        ([token(old_claims(iss=f"{LOGIN}/{TENANT}/v2.0"))], Reject.ISSUER),
        ([token(claims(ver=None))], Reject.ISSUER),
        ([token(claims(ver="3.0"))], Reject.ISSUER),
        ([token(claims(azp=APP))], Reject.SENDER),
        ([token(claims(azp=None))], Reject.SENDER),
        ([token(claims(azp=APP, appid=SENDER))], Reject.SENDER),
        ([token(old_claims(appid=APP, azp=SENDER))], Reject.SENDER),
        ([_GOOD, token(claims(azp=APP))], Reject.SENDER),
    ],
)
def test_a_sender_who_can_not_show_who_it_is_is_not_believed(tokens, why):
    raw = body(item(sealed(presence())), item(sealed(presence(BEN)), BEN), tokens=tokens)
    assert rejects(raw, private_keys={"ours": NeverUsed()}) == [why, why]


@pytest.mark.parametrize(
    "payload", [claims(exp=int(NOW) - 299), claims(nbf=int(NOW) + 299), claims(nbf=None, iat=None)]
)
def test_clocks_may_differ_by_five_minutes(payload):
    assert understand(body(item(sealed(presence())), tokens=[token(payload)]), trust(), NOW).seen


def test_a_token_that_was_verified_is_not_verified_again_until_it_ends():
    raw = body(item(sealed(presence())))
    again = {"signing_keys": {}, "good_tokens": {json.loads(raw)["validationTokens"][0]: NOW + 1}}
    assert understand(raw, trust(**again), NOW).seen
    assert understand(raw, trust(**again), NOW + 1).rejects == [Reject.KEY]
    assert understand(raw, trust(signing_keys={}), NOW).rejects == [Reject.KEY]


# The content --------------------------------------------------------------------------------------


def flipped(text: str, at: int = 0) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[at] ^= 1
    return b64(bytes(raw))


_SEALED = sealed(presence())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, Reject.NOT_ENCRYPTED),
        ({**_SEALED, "encryptionCertificateId": "unknown"}, Reject.CERTIFICATE),
        ({**_SEALED, "encryptionCertificateId": ""}, Reject.CERTIFICATE),
        ({**_SEALED, "encryptionCertificateId": "older"}, Reject.DATA_KEY),
        ({**_SEALED, "dataKey": flipped(_SEALED["dataKey"])}, Reject.DATA_KEY),
        ({**_SEALED, "dataKey": ""}, Reject.DATA_KEY),
        ({**_SEALED, "dataKey": b64(b"short")}, Reject.DATA_KEY),
        ({**_SEALED, "dataSignature": flipped(_SEALED["dataSignature"])}, Reject.SIGNATURE),
        ({**_SEALED, "dataSignature": ""}, Reject.SIGNATURE),
        ({**_SEALED, "data": flipped(_SEALED["data"], 20)}, Reject.SIGNATURE),
        ({**_SEALED, "data": ""}, Reject.SIGNATURE),
        ({**_SEALED, "data": "not base64!"}, Reject.CONTENT),
        ({**_SEALED, "dataKey": "not base64!"}, Reject.CONTENT),
        ({**_SEALED, "dataSignature": "\u20ac"}, Reject.CONTENT),
        (sealed_raw(b"", data_key=b"k" * 32), Reject.CONTENT),
        (sealed_raw(b"\x00" * 16, data_key=b"k" * 32), Reject.CONTENT),
        (sealed(b""), Reject.CONTENT),
        (sealed(b"no json"), Reject.CONTENT),
        (sealed(b'{"id":"\xff\xff"}'), Reject.CONTENT),
        (sealed(b'{"x":' + b"[" * 5000), Reject.CONTENT),
        (sealed(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), Reject.CONTENT),
        (sealed(b'{"id":"x"}'), Reject.CONTENT),
        (sealed(presence(availability=None)), Reject.CONTENT),
        (sealed(presence(BEN)), Reject.CONTENT),
    ],
)
def test_content_that_is_not_what_it_should_be_is_not_believed(content, why):
    assert rejects(body(item(content))) == [why]


@pytest.mark.parametrize("data_key", [b"", b"k", b"k" * 15, b"k" * 20, b"k" * 64])
def test_a_data_key_that_is_none_of_aes_opens_nothing(data_key):
    assert rejects(body(item(signed(b"d" * 16, data_key)))) == [Reject.CONTENT]


def test_a_payload_with_the_values_in_the_clear_is_not_believed():
    one = item(None)
    one["resourceData"] |= {"availability": "Busy", "activity": "InACall"}
    assert rejects(body(one)) == [Reject.NOT_ENCRYPTED]


def test_whom_we_do_not_follow_is_known_before_a_decryption_is_paid_for():
    raw = body(item(sealed(presence(STRANGER)), STRANGER))
    assert rejects(raw, private_keys={"ours": NeverUsed()}) == [Reject.PERSON]


def test_whom_we_do_not_follow_is_known_after_it_where_no_id_stands_in_the_clear():
    assert rejects(body(item(sealed(presence(STRANGER)), user=None))) == [Reject.PERSON]


def test_an_item_counts_once_in_a_body_and_across_bodies():
    one = item(sealed(presence()))
    understood = understand(body(one, one), trust(), NOW)
    assert len(understood.seen) == 1
    assert understood.rejects == [Reject.REPLAYED]
    seen = {understood.seen[0].signature: None}
    assert rejects(body(one), seen=seen, private_keys={"ours": NeverUsed()}) == [Reject.REPLAYED]


def test_an_item_can_not_be_replayed_by_another_spelling_of_its_signature():
    content = sealed(presence())
    signature = content["dataSignature"]
    seen = {signature: None}
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    others = [signature[:-2] + letter + "=" for letter in letters if letter != signature[-2]]
    same = [text for text in others if base64.b64decode(text) == base64.b64decode(signature)]
    assert len(same) == 3
    for text in same:
        assert rejects(body(item({**content, "dataSignature": text})), seen=seen) == [Reject.CONTENT]


def test_a_rejected_item_may_come_again_whole():
    content = sealed(presence())
    torn = {**content, "data": flipped(content["data"], 20)}
    understood = understand(body(item(torn), item(content)), trust(), NOW)
    assert len(understood.seen) == 1
    assert understood.rejects == [Reject.SIGNATURE]


# Whatever comes -----------------------------------------------------------------------------------

_SETTINGS = settings(deadline=None, derandomize=True, database=None, max_examples=300)
_BODY = body(item(_SEALED), item(sealed(presence(BEN, "Away", "Away"), data_key=b"2" * 32), BEN))
_WHOLE = understand(_BODY, trust(), NOW).seen


@_SETTINGS
@given(at=st.integers(0, len(_BODY) - 1), bit=st.integers(0, 7))
def test_a_body_with_one_bit_changed_yields_nothing_that_was_altered(at, bit):
    raw = bytearray(_BODY)
    raw[at] ^= 1 << bit
    understood = understand(bytes(raw), trust(), NOW)
    assert len(_WHOLE) == 2
    assert all(seen in _WHOLE for seen in understood.seen)


@_SETTINGS
@given(cut=st.integers(0, len(_BODY)), tail=st.binary(max_size=20))
def test_a_torn_body_yields_nothing_that_was_altered(cut, tail):
    understood = understand(_BODY[:cut] + tail, trust(), NOW)
    assert all(seen in _WHOLE for seen in understood.seen)


@_SETTINGS
@given(st.binary(max_size=200))
@example(b'{"value":[{"subscriptionId":"\xc3"}]}')
def test_no_bytes_at_all_do_harm(raw):
    assert understand(raw, trust(), NOW).seen == []


_TEXT = st.text(max_size=30) | st.sampled_from([SUBSCRIPTION, CLIENT_STATE, TENANT, ANN, "ours", _GOOD, ""])
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_CONTENT = st.fixed_dictionaries(
    dict.fromkeys(("data", "dataSignature", "dataKey", "encryptionCertificateId"), _TEXT)
)
_ITEM = st.fixed_dictionaries(
    {"subscriptionId": st.just(SUBSCRIPTION) | _ANY, "clientState": st.just(CLIENT_STATE) | _ANY},
    optional={
        "tenantId": st.just(TENANT) | _ANY,
        "resourceData": st.fixed_dictionaries({"id": _TEXT}) | _ANY,
        "encryptedContent": _CONTENT | _ANY,
        "lifecycleEvent": _TEXT,
    },
)


@_SETTINGS
@given(st.lists(_ITEM, max_size=4), st.lists(st.just(_GOOD) | _ANY, max_size=3) | st.just([_GOOD]))
def test_no_json_at_all_does_harm(items, tokens):
    raw = json.dumps({"value": items, "validationTokens": tokens}).encode()
    assert understand(raw, trust(), NOW).seen == []


@_SETTINGS
@given(st.dictionaries(st.sampled_from(sorted(claims())), _ANY), st.dictionaries(st.text(max_size=4), _ANY))
def test_no_claims_of_a_signed_token_do_harm(payload, header):
    mine = token({**claims(), **payload}, **{"b64": None} | header) if payload else token()
    understood = understand(body(item(_SEALED), tokens=[mine]), trust(), NOW)
    assert all(seen in _WHOLE for seen in understood.seen)
