"""The contents of config.yaml, checked and frozen. Only the entry points and the container read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from app.errors import SettingsError
from app.sections.whole import Settings
from app.settings_checks import misfits
from app.settings_faults import in_words
from app.settings_file import SettingsFile, read_settings_file

__all__ = ["Settings", "load_settings", "settings_of"]


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read, substitute and check a configuration file.

    Args:
        path: The YAML file.
        environ: Where ``${NAME}`` is looked up.

    Raises:
        SettingsError: The file is missing, is not YAML, has an unknown or duplicate key or a value that does not fit,
            or names a variable that is unset or empty. The message lists the faults, each as
            ``file:line: path: what to do``, and quotes no value.
    """
    return settings_of(read_settings_file(path, environ))


def settings_of(file: SettingsFile) -> Settings:
    """Return the settings that a file stands for; raises as `load_settings`."""
    try:
        settings = Settings.model_validate(file.tree)
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
    else:
        return _fitting(settings, file)
    raise SettingsError("\n".join(file.locate(*fault) for fault in in_words(details, Settings, file)))


def _fitting(settings: Settings, file: SettingsFile) -> Settings:
    if faults := [file.locate(*misfit) for misfit in misfits(settings)]:
        raise SettingsError("\n".join(faults))
    return settings
