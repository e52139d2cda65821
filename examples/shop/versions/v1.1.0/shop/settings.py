"""What the environment tells the shop (https://12factor.net/config)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Settings:
    """Everything that differs from one place to the next; nothing of it is in the image."""

    database_url: str = ""
    database_url_file: str = ""
    port: int = 8080
    log_level: str = "info"
    greeting: str = ""
    version: str = "unreleased"
    environment: str = "local"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the environment; raises ValueError naming every variable that is missing or wrong."""
        problems = []
        if not environ.get("DATABASE_URL") and not environ.get("DATABASE_URL_FILE"):
            problems.append("DATABASE_URL: missing; give it, or the path of a file that holds it in DATABASE_URL_FILE")
        if not (port := environ.get("PORT", "8080")).isdecimal():
            problems.append(f"PORT: {port!r} is not a number")
        if (level := environ.get("LOG_LEVEL", "info").lower()) not in LEVELS:
            problems.append(f"LOG_LEVEL: {level!r} is none of {', '.join(LEVELS)}")
        if problems:
            raise ValueError("\n".join(problems))
        return cls(
            database_url=environ.get("DATABASE_URL", ""),
            database_url_file=environ.get("DATABASE_URL_FILE", ""),
            port=int(port),
            log_level=level,
            greeting=environ.get("GREETING", cls.greeting),
            version=environ.get("INTERLOCK_VERSION", cls.version),
            environment=environ.get("INTERLOCK_ENVIRONMENT", cls.environment),
        )

    def conninfo(self) -> str:
        """Tell where the database is; a file is read each time, so that a new password needs no restart."""
        return self.database_url or Path(self.database_url_file).read_text().strip()
