"""HTTP answers from memory."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from domain.errors import Invalid, Unavailable

NOWHERE = "192.0.2.1"  # RFC 5737: an address for documentation, where nothing ever answers
Answer = tuple[int, str]


class MemoryProbe:
    """Answers from a table or a function (method, URL, body); 200 `ok` for whatever they leave open.

    A table's key is a whole URL or its path. `asked` lists every (method, URL), in order.
    """

    def __init__(
        self, answers: Mapping[str, Answer] | Callable[[str, str, str | None], Answer | None] | None = None
    ) -> None:
        self.answers = answers if answers is not None else {}
        self.asked: list[tuple[str, str]] = []

    def request(self, method: str, url: str, body: str | None, timeout: float) -> Answer:  # noqa: ARG002  # answers at once
        """Look the answer up. Raises Unavailable for addresses at NOWHERE, Invalid when the URL is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise Invalid(f"{method} {url}: not an HTTP URL", "check the path")
        self.asked.append((method, url))
        if parts.hostname in (None, NOWHERE):
            raise Unavailable(f"{method} {url}: nothing answers", "does it listen?")
        if callable(self.answers):
            return self.answers(method, url, body) or (200, "ok")
        return self.answers.get(url) or self.answers.get(parts.path) or (200, "ok")
