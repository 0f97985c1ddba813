"""GET /users, /users/{key} and /me: learn.microsoft.com/graph/api/user-list, user-get."""

from urllib.parse import urlencode

from presencebridge.emulators.graph import directory
from presencebridge.emulators.graph.calls import Answer, Call

_IN_FULL = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")
_ALL = ("User.ReadBasic.All", *_IN_FULL)
# For an app on its own, Microsoft's page of the list does not name User.ReadBasic.All, its page of
# permissions does, and both is reported: that it works, and that it is refused
# (learn.microsoft.com/answers/questions/6019739). Here it works.


async def read(call: Call) -> Answer:
    user = call.user
    mine = ("User.Read", "User.ReadWrite") if call.is_about_me(user) else ()
    call.need(directory.denied(), app=_ALL, delegated=(*_ALL, *mine))
    in_full = not call.access.granted.isdisjoint((*_IN_FULL, *mine))
    row = directory.user_row(user, call.request.query_params.get("$select"), in_full=in_full)
    return Answer(200, {"@odata.context": call.context("users/$entity"), **row})


async def listing(call: Call) -> Answer:
    call.need(directory.denied(), app=_ALL, delegated=_ALL)
    query = dict(call.request.query_params)

    def next_link(start: int) -> str:
        return f"{call.origin}{call.request.url.path}?{urlencode({**query, '$skiptoken': start}, safe='$,')}"

    in_full = not call.access.granted.isdisjoint(_IN_FULL)
    page = directory.page_of_users(call.emulator.directory.users, query, next_link, in_full=in_full)
    return Answer(200, {"@odata.context": call.context("users"), **page})
