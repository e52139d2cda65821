"""Notices through apprise: mail, Slack, Teams, webhooks and every other service it speaks to."""

import logging
import re
from collections.abc import Mapping, Sequence

import apprise

from domain.errors import Invalid, Unavailable
from domain.ports import Secrets


class Apprise:
    """The Notices port on apprise URLs, several per group if need be.

    A target is an apprise URL or a `secret://…` reference to one; references are resolved here and now. apprise's own
    time-outs apply (`cto` and `rto` in the URL, 4 s each by default).

    Raises Invalid naming every target that is no usable URL, by group and place, never by its text.
    """

    def __init__(self, targets: Mapping[str, Sequence[str]], secrets: Secrets) -> None:
        # apprise logs the URLs it refuses, passwords included, at level ERROR
        logging.getLogger("apprise").disabled = True
        self._targets: dict[str, list[apprise.Apprise]] = {}
        self._arrived: set[tuple[str, str, int]] = set()
        problems: list[str] = []
        for group, urls in targets.items():
            for place, url in enumerate(urls, start=1):
                target = apprise.Apprise()
                if target.add(secrets.resolve(url) if url.startswith("secret://") else url) and len(target) == 1:
                    self._targets.setdefault(group, []).append(target)
                else:
                    problems.append(
                        f"notices: group {group}: target {place}{_kind(url)} is no URL that apprise can use"
                    )
        if problems:
            raise Invalid.all(problems, "each service's form of URL is at https://appriseit.com")

    def deliver(self, group: str, title: str, body: str, key: str) -> None:
        """Send to every target of the group; a target that had this key from us in this process is left out.

        Raises Invalid for a group without a target, Unavailable when any target did not take it.
        """
        if group not in self._targets:
            raise Invalid(f"notices: group {group} has no target", "give it one in the configuration")
        failed: list[str] = []
        for place, target in enumerate(self._targets[group], start=1):
            if (group, key, place) in self._arrived:
                continue
            if target.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT):
                self._arrived.add((group, key, place))
            else:
                failed.append(f"target {place} ({target[0].service_name})")
        if failed:
            raise Unavailable(f"notices: group {group}: {', '.join(failed)} did not take it", "is the service up?")


def _kind(url: str) -> str:
    """Name the sort of URL, which is all of it that may be shown."""
    found = re.match(r"[a-z][a-z0-9]*://", url)
    return f" ({found[0]}…)" if found else ""
