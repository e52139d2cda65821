"""Plain HTTP requests, for readiness and journeys."""

import time

import httpx

from domain.errors import Invalid, Unavailable

_LONGEST = 1 << 20  # bytes of a body that are read; a check looks for words, not for downloads


class HttpProbe:
    """The Probe port: straight to the replica, no proxy, no redirects, a fresh connection each time."""

    def __init__(self) -> None:
        self._http = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    def request(self, method: str, url: str, body: str | None, timeout: float) -> tuple[int, str]:
        """Send one request, its body as JSON; return status and body (the first MiB).

        Raises Unavailable when the answer is not complete after `timeout` seconds (a server that sends byte by byte
        is cut off at twice that at most), Invalid when the URL is none.
        """
        if not url.startswith(("http://", "https://")):
            raise Invalid(f"{method} {url}: not an HTTP URL", "check the path")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        give_up = time.monotonic() + timeout
        read = bytearray()
        try:
            with self._http.stream(method, url, content=body, headers=headers, timeout=timeout) as answer:
                for chunk in answer.iter_bytes():
                    read += chunk
                    if len(read) >= _LONGEST:
                        break
                    if time.monotonic() > give_up:
                        raise httpx.ReadTimeout(f"not complete after {timeout:g} s")
                return answer.status_code, read[:_LONGEST].decode(answer.encoding or "utf-8", errors="replace")
        except httpx.InvalidURL as error:
            raise Invalid(f"{method} {url}: {error}", "check the path") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"{method} {url}: {error or type(error).__name__}", "does it listen?") from error
