"""Models by name, without a network and without a key."""

from __future__ import annotations

import subprocess
import sys

import httpx2
import pytest

from app.errors import SettingsError
from app.llm.models import build_model
from app.llm.offline_model import OfflineModel

HTTP = httpx2.AsyncClient()  # never called


def test_offline_is_the_embedded_model() -> None:
    """The name `offline` gives the rule-based model and needs no key."""
    model = build_model("offline", HTTP)

    assert isinstance(model, OfflineModel)
    assert model.model_name == "offline"


def test_a_provider_model_is_built_with_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pydantic-ai model string gives that provider's model without using the network."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up")

    model = build_model("openai:gpt-5", HTTP)

    assert (model.system, model.model_name) == ("openai", "gpt-5")


@pytest.mark.parametrize("name", ["", "gpt-5", "test", "openai:", ":gpt-5"])
def test_a_name_without_a_provider_is_refused(name: str) -> None:
    """Only `offline` and `provider:model` are names; pydantic-ai's `test`, which calls every tool, is refused."""
    with pytest.raises(SettingsError, match=r"write offline or provider:model, such as openai:gpt-5$"):
        build_model(name, HTTP)


@pytest.mark.parametrize("name", ["opanai:gpt-5", "gateway/opanai:gpt-5"])
def test_an_unknown_provider_is_refused(name: str) -> None:
    """An unknown provider is refused with the name that was probably meant."""
    with pytest.raises(SettingsError, match="no model provider has this name; did you mean openai:"):
        build_model(name, HTTP)


def test_a_missing_package_is_named() -> None:
    """The error has the command that installs the provider's package."""
    with pytest.raises(SettingsError, match=r"pip install 'pydantic-ai-slim\[cohere\]'"):
        build_model("cohere:command-r", HTTP)


@pytest.mark.parametrize("key", [None, ""])
def test_a_missing_or_empty_key_is_named(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable to set, whether it is missing or empty."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)

    with pytest.raises(SettingsError, match=r"set OPENAI_API_KEY .*in the environment"):
        build_model("openai:gpt-5", HTTP)


@pytest.mark.system
def test_offline_imports_no_provider() -> None:
    """The offline model imports no provider's package."""
    program = (
        "import sys; from app.llm.models import build_model; build_model('offline', None);"
        "print({'openai', 'anthropic', 'mcp', 'fastmcp'} & set(sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (finished.stdout.strip(), finished.stderr) == ("set()", "")
