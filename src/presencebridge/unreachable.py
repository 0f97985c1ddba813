"""What to do where the other side can't be reached, by what the network said."""

import httpx2

from presencebridge.errors import TryAgain

WAS_CUT = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
"""A kept connection that the other side had given up ends so: the request may go out once more."""


def unreachable(who: str, error: Exception, address: str, ca_file: str) -> TryAgain:
    """`address` and `ca_file` are the words of the config that may have to be mended."""
    text = str(error) or type(error).__name__
    return TryAgain(f"{who} can't be reached: {text}", cure=_cure(text, address, ca_file))


def _cure(text: str, address: str, ca_file: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"name the authority of its certificate in {ca_file} if it is a private one; check {address}"
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text:
        return f"what answers there does not speak https: check {address}"
    if "Name or service not known" in text or "name resolution" in text or "getaddrinfo" in text:
        return f"the name can't be found: check the host in {address}, and this machine's name resolution"
    if "refused" in text or "111" in text:
        return f"nothing listens there: check the port in {address}, and that it runs"
    return f"check {address}, the firewall, the proxy and {ca_file}"
