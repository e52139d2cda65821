# Part of the released service: its settings find the database where Interlock says it is.
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shopsite.settings.base import INSTALLED_APPS

_url = urlsplit(Path(os.environ["DATABASE_URL_FILE"]).read_text())
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url.path[1:],
        "USER": unquote(_url.username),
        "PASSWORD": unquote(_url.password),
        "HOST": _url.hostname,
        "PORT": _url.port,
    }
}
INSTALLED_APPS = [*INSTALLED_APPS, *(name for name in ("mend",) if Path(name).is_dir())]
