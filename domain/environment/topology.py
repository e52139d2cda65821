"""Which environments a release passes, and in what order."""

from collections.abc import Mapping

from domain.environment.profile import Environment
from domain.errors import Invalid, Refused


def path_to(last: str, environments: Mapping[str, Environment]) -> tuple[str, ...]:
    """List every environment from the first one up to `last`, following `after`.

    Raises Invalid for an unknown name or a circle.
    """
    path: list[str] = []
    name: str | None = last
    while name is not None:
        if name not in environments:
            known = ", ".join(sorted(environments))
            raise Invalid(f"environment {name!r} does not exist", f"known environments: {known}")
        if name in path:
            raise Invalid(f"environments go in a circle: {' → '.join([*path, name])}", "mend `after` in one of them")
        path.append(name)
        name = environments[name].after
    return tuple(reversed(path))


def insist_on_order(wanted: tuple[str, ...], passed: frozenset[str], environments: Mapping[str, Environment]) -> None:
    """Refuse a list of environments that skips a stage this very artifact has not passed.

    `passed` are the environments where the artifact already runs or ran as a finished release. Raises Refused.
    """
    seen = set(passed)
    for name in wanted:
        before = path_to(name, environments)[:-1]
        if before and before[-1] not in seen:
            raise Refused(
                f"{name}: the release has not passed {before[-1]}",
                f"release to {' → '.join((*before, name))} in this order; stages cannot be skipped",
            )
        seen.add(name)
