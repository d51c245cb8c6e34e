"""Read the service's settings once from the environment or `.env`, check and freeze them.

Each file of a group holds its settings with their checks and what is derived from them.
"""

from src.settings.reading import SettingsError, read_settings
from src.settings.settings import Settings

__all__ = ["Settings", "SettingsError", "read_settings"]
