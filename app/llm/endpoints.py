"""Models at endpoints of one's own that speak OpenAI's chat protocol: Ollama, vLLM, LM Studio and the like."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from pydantic import SecretStr
    from pydantic_ai.models import Model

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 600.0  # a model on a small machine takes its time; the message's deadline ends it earlier


def open_model_http() -> httpx2.AsyncClient:
    """The client for all endpoints. It keeps no cookie: one person's would go out with the next one's request."""
    return httpx2.AsyncClient(
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
        trust_env=False,
    )


def build_endpoint(
    name: str, *, base_url: str, model: str, api_key: SecretStr | None, http: httpx2.AsyncClient
) -> Model:
    """The model at an endpoint; it holds nobody's data and lives as long as the process. No request is made.

    Tools are sent without `strict`, which such servers refuse or take for another thing:
    https://ai.pydantic.dev/models/openai/#openai-compatible-models

    Args:
        name: What the settings call it.
        base_url: The address up to and with ``/v1``.
        model: The model's name at the endpoint.
        api_key: Sent as a bearer token; no key of the environment ever is.
        http: Left open.
    """
    # Imported late: it takes a good part of a second, and `offline` needs none of it.
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    provider = OpenAICompatibleProvider(
        name,
        base_url=base_url,
        api_key=api_key.get_secret_value() if api_key else None,
        http_client=http,
        profile=OpenAIModelProfile(openai_supports_strict_tool_definition=False),
    )
    return OpenAIChatModel(model, provider=provider)
