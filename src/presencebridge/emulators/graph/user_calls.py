"""GET /users, /users/{key} and /me: learn.microsoft.com/graph/api/user-list, user-get."""

from urllib.parse import urlencode

from presencebridge.emulators.graph import directory
from presencebridge.emulators.graph.calls import Answer, Call
from presencebridge.emulators.graph.errors import GraphError

_ALL = (
    "User.ReadBasic.All",
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
)


async def read(call: Call) -> Answer:
    user = call.user
    mine = ("User.Read", "User.ReadWrite") if call.is_about_me(user) else ()
    call.need(_denied(), app=_ALL, delegated=(*_ALL, *mine))
    row = directory.user_row(user, call.request.query_params.get("$select"))
    return Answer(200, {"@odata.context": call.context("users/$entity"), **row})


async def listing(call: Call) -> Answer:
    call.need(_denied(), app=_ALL, delegated=_ALL)
    query = dict(call.request.query_params)

    def next_link(start: int) -> str:
        return f"{call.origin}{call.request.url.path}?{urlencode({**query, '$skiptoken': start}, safe='$,')}"

    page = directory.page_of_users(call.emulator.directory.users, query, next_link)
    return Answer(200, {"@odata.context": call.context("users"), **page})


def _denied() -> GraphError:
    return GraphError(
        403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
    )
