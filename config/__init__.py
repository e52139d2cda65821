"""What may vary: this machine's settings, and the services, environments and people of the config folder."""

from config.catalog import Catalog
from config.load import load
from config.settings import Settings

__all__ = ["Catalog", "Settings", "load"]
