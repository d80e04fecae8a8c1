"""agno's Google toolkits on our templates and the sender's own access: no file, no browser, no environment."""

from __future__ import annotations

from agno.tools.toolkit import Toolkit as ForeignToolkit

from app.errors import CredentialsError
from app.google.blocking import BlockingResource, current_line


def is_google(cls: type) -> bool:
    """Return whether a class calls Google's APIs in the way of agno's GoogleToolkit."""
    return any(base.__name__ == "GoogleToolkit" and base.__module__ == "agno.tools.google.base" for base in cls.__mro__)


def on_templates(cls: type[ForeignToolkit]) -> type[ForeignToolkit]:
    """Return the class with its services made of our templates, and with no way to credentials of its own.

    Args:
        cls: A class that `is_google`.
    """
    namespace = {
        "__module__": cls.__module__,
        "__doc__": cls.__doc__,
        "_build_google_service": _service,
        "_resolve_creds": _no_credentials,
    }
    return type(cls.__name__, (cls,), namespace)


def _service(self: object, api_name: str, api_version: str, creds: object) -> BlockingResource:
    return current_line().service(api_name, api_version)


def _no_credentials(self: object) -> None:
    raise CredentialsError("there is no access but the sender's own")
