"""Models at self-hosted endpoints that speak OpenAI's chat protocol: Ollama, vLLM, LM Studio and the like."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import httpx2

from app.network import open_client

if TYPE_CHECKING:
    from pydantic import SecretStr
    from pydantic_ai.models import Model

_OK, _CLIENT_ERROR, _BAD_GATEWAY, _LAST_STATUS = 200, 400, 502, 599  # HTTP statuses
# The status that a word in an error's text implies; the first match counts.
_IMPLIED = {
    "insufficient_quota": 402,
    "context_length": 400,
    "context length": 400,
    "content_filter": 400,
    "content_policy": 400,
    "invalid_api_key": 401,
    "model_not_found": 404,
    "rate_limit": 429,
    "rate limit": 429,
    "overload": 503,
    "capacity": 503,
}
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 600.0  # a model on a small machine takes its time; the message's deadline ends it earlier


def open_model_http() -> httpx2.AsyncClient:
    """Return the client for all models."""
    return open_client(httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS), response_hooks=(_tell_errors,))


async def _tell_errors(response: httpx2.Response) -> None:
    """Give an error that comes with the status 200, as of some gateways, the status that it names or implies."""
    if response.status_code != _OK or "json" not in response.headers.get("content-type", ""):
        return
    await response.aread()
    try:
        body = response.json()
    except ValueError:
        return
    error = body.get("error") if isinstance(body, dict) and not body.get("choices") else None
    if not error:
        return
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, (int, str)) and str(code).isdecimal() and _CLIENT_ERROR <= int(code) <= _LAST_STATUS:
        response.status_code = int(code)
        return
    words = str(error).lower()
    response.status_code = next((status for word, status in _IMPLIED.items() if word in words), _BAD_GATEWAY)


def build_endpoint(
    name: str,
    *,
    base_url: str,
    model: str,
    api_key: SecretStr | None,
    http: httpx2.AsyncClient,
    reads: Collection[str] = (),
) -> Model:
    """Return the model at an endpoint; it holds nobody's data and lives as long as the process. No request is made.

    Tools are sent without `strict`, which such servers refuse or misunderstand:
    https://ai.pydantic.dev/models/openai/#openai-compatible-models

    Args:
        name: Its name in the settings.
        base_url: The address, including ``/v1``.
        model: The model's name at the endpoint.
        api_key: Sent as a bearer token; keys in the environment are never sent.
        http: The client, which stays open.
        reads: The kinds of files that it reads, ``images`` or ``documents``; most such models read none.
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
        profile=OpenAIModelProfile(
            openai_supports_strict_tool_definition=False,
            supports_image_input="images" in reads,
            supports_document_input="documents" in reads,
            openai_chat_supports_document_input="documents" in reads,
        ),
    )
    return OpenAIChatModel(model, provider=provider)
