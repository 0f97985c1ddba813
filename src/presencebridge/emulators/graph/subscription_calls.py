"""The /subscriptions calls.

From learn.microsoft.com/graph/api: subscription-post-subscriptions, -get, -list, -update, -delete,
-reauthorize; and graph/changenotifications-for-presence: delegated only, one presence subscription for
each application and signed-in user.
"""

import msgspec

from presencebridge.emulators.graph import subscriptions
from presencebridge.emulators.graph.calls import Answer, Call
from presencebridge.emulators.graph.errors import GraphError, extension_error
from presencebridge.emulators.graph.subscriptions import Subscription


async def create(call: Call) -> Answer:
    body = call.json
    owner_id = _owner(call, "Create")
    emulator = call.emulator
    asked = subscriptions.requested(
        body, emulator.clock, emulator.new_id(), call.access.app_id, owner_id, emulator.faults.long_expiry
    )
    _check_single(call, asked)
    await emulator.check_endpoint(asked.notification_url)
    if asked.lifecycle_url:
        await emulator.check_endpoint(asked.lifecycle_url)
    _check_single(call, asked)  # another one may have been made while the endpoint was asked
    emulator.put_subscription(asked)
    row = subscriptions.view(asked, emulator.clock)
    return Answer(201, {"@odata.context": call.context("subscriptions/$entity"), **row})


async def listing(call: Call) -> Answer:
    """Only this application's subscriptions of the signed-in user; OData options aren't supported."""
    owner_id = _owner(call, "List")
    clock = call.emulator.clock
    rows = [
        subscriptions.view(held, clock, listed=True)
        for held in call.emulator.subscriptions.values()
        if _belongs(held, call, owner_id)
    ]
    return Answer(200, {"@odata.context": call.context("subscriptions"), "value": rows})


async def read(call: Call) -> Answer:
    held = _held(call, "Get")
    row = subscriptions.view(held, call.emulator.clock)
    return Answer(200, {"@odata.context": call.context("subscriptions/$entity"), **row})


async def renew(call: Call) -> Answer:
    """PATCH: a new end, address or certificate. Whether a new address is asked again isn't stated: it is."""
    body = call.json
    held = _held(call, "Update")
    emulator = call.emulator
    changed = subscriptions.renewed(held, body, emulator.clock, emulator.faults.long_expiry)
    if changed.notification_url != held.notification_url:
        await emulator.check_endpoint(changed.notification_url)
        _held(call, "Update")
    emulator.put_subscription(changed)
    row = subscriptions.view(changed, emulator.clock)
    return Answer(200, {"@odata.context": call.context("subscriptions/$entity"), **row})


async def reauthorize(call: Call) -> Answer:
    held = _held(call, "Reauthorize")
    call.emulator.put_subscription(msgspec.structs.replace(held, authorized=True))
    return Answer(204)


async def delete(call: Call) -> Answer:
    call.emulator.drop_subscription(_held(call, "Delete").subscription_id)
    return Answer(204)


def _owner(call: Call, operation: str) -> str:
    """The signed-in user.

    What an application's own token gets isn't documented: here, the refusal seen for missing rights.
    """
    refusal = extension_error(
        403, operation, "Forbidden", "The request is not authorized for this user or application."
    )
    call.need(refusal, app=(), delegated=("Presence.Read.All",))
    return call.me.id


def _held(call: Call, operation: str) -> Subscription:
    owner_id = _owner(call, operation)
    call.emulator.settle()
    held = call.emulator.subscriptions.get(call.request.path_params["id"])
    if held is None or not _belongs(held, call, owner_id):
        raise GraphError(404, "ResourceNotFound", "The object was not found.")
    return held


def _belongs(held: Subscription, call: Call, owner_id: str) -> bool:
    return held.owner_id == owner_id and held.app_id == call.access.app_id


def _check_single(call: Call, asked: Subscription) -> None:
    call.emulator.settle()
    if any(_belongs(held, call, asked.owner_id) for held in call.emulator.subscriptions.values()):
        # The text is Microsoft's, with its spelling, and without a space after "Exception:".
        raise GraphError(
            409,
            "ExtensionError",
            "Operation: Create; Exception:[Status Code: Conflict; Reason: A subscripton already exists. It "
            "must be deleted before a another can be made.]",
        )
