"""What each stakeholder group is told, and when."""

from typing import Literal

from domain.value import Value

Occasion = Literal["started", "approval needed", "succeeded", "rolled back", "aborted", "needs a person"]
Group = Literal["dev", "ops", "product", "support"]

WHO: dict[Occasion, tuple[Group, ...]] = {
    "started": ("dev", "ops", "product", "support"),
    "approval needed": ("ops", "product"),
    "succeeded": ("dev", "ops", "product", "support"),
    "rolled back": ("dev", "ops", "product", "support"),
    "aborted": ("dev", "ops"),
    "needs a person": ("dev", "ops"),
}
_WORDS: dict[Group, dict[Occasion, str]] = {
    "dev": {
        "started": "{release}: {version} ({commit}) is on its way to {environments}.\n{changes}",
        "succeeded": "{release}: {version} is released to {environments}.\n{report}",
        "rolled back": "{release}: {version} is out of {environment} again.\n{reason}\n`interlock explain {release}`",
        "aborted": "{release}: stopped before production changed.\nWhy: {reason}\n`interlock explain {release}`",
        "needs a person": "{release} in {environment} holds.\nWhy: {reason}\n`interlock explain {release}`",
    },
    "ops": {
        "started": "{service} {version} starts: {environments}. Watch: {release}.",
        "approval needed": "{service} {version} waits in {environment}: {question}. `interlock approve {release}`",
        "succeeded": "{service} {version} serves in {environments}.\n{report}",
        "rolled back": "{service} in {environment} is back on its previous version. Why: {reason}",
        "aborted": "{service} {version} stopped; nothing changed in production. Why: {reason}",
        "needs a person": "{service} {version} in {environment} needs a decision. Why: {reason}",
    },
    "product": {
        "started": "{service} {version} is being released.\n{changes}",
        "approval needed": "{service} {version} needs your decision for {environment}: {question}.\n{changes}",
        "succeeded": "{service} {version} is live.\n{changes}",
        "rolled back": "{service} {version} was taken back; users have the previous version.",
    },
    "support": {
        "started": "{service} {version} is rolling out; report anything unusual with this name: {release}.",
        "succeeded": "{service} {version} is live.\n{changes}",
        "rolled back": "{service} {version} was taken back. Users who saw errors should try again.",
    },
}


class Notice(Value):
    """One message to one group; `key` makes it happen once."""

    key: str
    group: Group
    title: str
    body: str


def notices(occasion: Occasion, about: dict[str, str], key: str) -> tuple[Notice, ...]:
    """Write the message of every group that hears of an occasion; unknown words stay empty, never fail."""
    words = _Gaps(about)
    return tuple(
        Notice(
            key=f"{key}/{occasion}/{group}",
            group=group,
            title=f"{about.get('service', '')} {about.get('version', '')} {occasion}".strip(),
            body=_WORDS[group][occasion].format_map(words).strip(),
        )
        for group in WHO[occasion]
        if occasion in _WORDS[group]
    )


class _Gaps(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return ""
