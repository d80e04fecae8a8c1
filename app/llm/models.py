"""Models by name: `offline`, or any model string of pydantic-ai."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.models import infer_model
from pydantic_ai.providers import infer_provider, infer_provider_class

from app.errors import SettingsError
from app.llm.offline import MODEL_NAME
from app.llm.offline_model import OfflineModel

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.models import Model
    from pydantic_ai.providers import Provider

_PROVIDERS = (
    "openai", "anthropic", "google", "azure", "bedrock", "cohere", "deepseek", "github", "grok", "groq", "huggingface",
    "mistral", "ollama", "openrouter", "together", "xai",
)  # fmt: skip

_OWN_CLIENT = ("openai-chatgpt", "openai-codex")  # it must not be shared: their sign-in belongs to it


def build_model(name: str, http: httpx2.AsyncClient) -> Model:
    """Return the model of that name; it holds nobody's data and lives as long as the process.

    A provider's package is imported here and not before, and its key is read from the environment variable that the
    provider documents. No request is made. Enter the model (`async with model`) to have a client of its own closed.

    Args:
        name: `offline`, or `provider:model` as listed on https://ai.pydantic.dev/models/, such as `openai:gpt-5`.
        http: The client for its requests, if its provider takes one; it is not closed here.

    Raises:
        SettingsError: The name is unknown, or the provider's package or key is missing; the message says what to do
            and holds no key.
    """
    if name == MODEL_NAME:
        return OfflineModel()
    provider, _, model = name.partition(":")
    if not provider or not model:
        raise SettingsError(f"there is no such model; write {MODEL_NAME} or provider:model, such as openai:gpt-5")
    try:
        infer_provider_class(provider)
    except ValueError:
        raise SettingsError(_unknown_provider(provider)) from None
    except ImportError as error:
        raise SettingsError(f"this model's provider needs a package: {_how_to_install(error)}") from error
    return _infer(name, http)


def _infer(name: str, http: httpx2.AsyncClient) -> Model:
    from openai import OpenAIError  # imported late: it takes a good part of a second, and `offline` needs none of it

    try:
        return infer_model(name, lambda provider: _provider(provider, http))
    except ImportError as error:
        raise SettingsError(f"this model's provider needs a package: {_how_to_install(error)}") from error
    except (UserError, OpenAIError) as error:
        raise SettingsError(f"this model cannot be set up: {_what_is_missing(error)}") from None


def _provider(name: str, http: httpx2.AsyncClient) -> Provider[Any]:
    """Return the provider, with our client if it takes one.

    The others follow the same variables for proxies and certificates on their own: the gateway, those that sign in with
    their own account, and those whose SDKs need another library's client.
    """
    if name.startswith("gateway/") or name in _OWN_CLIENT:
        return infer_provider(name)
    provider: Callable[..., Provider[Any]] = infer_provider_class(name)
    parameter = inspect.signature(provider).parameters.get("http_client")
    taken = parameter is not None and any(kind in str(parameter.annotation) for kind in ("httpx2.", "HTTPClient"))
    return provider(http_client=http) if taken else provider()


def _unknown_provider(provider: str) -> str:
    """Return what to write instead, without repeating the name, which may be a secret in the wrong place."""
    close = get_close_matches(provider.removeprefix("gateway/"), _PROVIDERS, n=1)
    meant = f"; did you mean {close[0]}:?" if close else f", such as {', '.join(_PROVIDERS[:3])}"
    return f"no model provider has this name{meant} (https://ai.pydantic.dev/models/ lists them)"


def _how_to_install(error: ImportError) -> str:
    """Return the command to install what pydantic-ai says is missing."""
    extra = re.search(r"pydantic-ai-slim\[[\w-]+\]", str(error))
    return f"pip install '{extra[0]}'" if extra else "see https://ai.pydantic.dev/install/"


def _what_is_missing(error: Exception) -> str:
    """Return the environment variables that the error names, without its other words, which may quote a key."""
    variables = dict.fromkeys(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", str(error)))
    if variables:
        return f"set {' or '.join(variables)} in the environment, not to an empty value"
    return "see what its provider needs on https://ai.pydantic.dev/models/"
