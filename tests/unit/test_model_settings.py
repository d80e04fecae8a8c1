"""`models` in config.yaml, and how agents name them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, load_settings

LOCAL = "models: {local: {base_url: http://127.0.0.1:11434/v1, model: llama3.2, api_key: '${KEY}'}}"
ENVIRON = {"KEY": "sk-CANARY"}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Settings]:
    """Return a function that loads a configuration whose one agent has a model."""

    def load(model: str, models: str = LOCAL) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_text(
            f"{models}\nagents:\n  assistant:\n    model: {model}\n"
            "key_ring: {file: keys.yaml}\ndefault_agent: assistant\ninterfaces: {http: {}}\n"
        )
        return load_settings(path, ENVIRON)

    return load


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("offline", ("offline",)),
        ("local", ("local",)),
        ("openai:gpt-5", ("openai:gpt-5",)),
        ("[local, openai:gpt-5, offline]", ("local", "openai:gpt-5", "offline")),
    ],
)
def test_an_agent_has_one_model_or_several_in_order(
    load: Callable[..., Settings], written: str, meant: tuple[str, ...]
) -> None:
    """An agent's model is a list in order, and a single name is a list of one."""
    assert load(written).agents["assistant"].model == meant


def test_an_endpoint_is_as_it_was_written_and_shows_no_key(load: Callable[..., Settings]) -> None:
    """An endpoint's key comes from the environment and appears in no repr."""
    settings = load("local")
    local = settings.models["local"]

    assert (local.base_url, local.model) == ("http://127.0.0.1:11434/v1", "llama3.2")
    assert local.api_key is not None
    assert local.api_key.get_secret_value() == "sk-CANARY"
    assert "CANARY" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(("written", "works"), [("local", True), ("lokal", False), ("openai:whisper-1", False)])
def test_a_transcription_model_is_one_of_models(load: Callable[..., Settings], written: str, works: bool) -> None:
    """Transcription needs an endpoint, because a pydantic-ai model string says nothing about transcription."""
    models = f"{LOCAL}\nattachments: {{transcription: '{written}'}}"
    if works:
        assert load("local", models).attachments.transcription == "local"
    else:
        with pytest.raises(SettingsError, match=r"attachments\.transcription"):
            load("local", models)


@pytest.mark.parametrize("written", ["lokal", "[local, lokal]", "sk-CANARY", "':gpt'", "'openai:'"])
def test_a_model_that_there_is_none_of_is_refused(load: Callable[..., Settings], written: str) -> None:
    """The error has the place and the existing names, and does not repeat the unknown one."""
    with pytest.raises(SettingsError) as caught:
        load(written)

    told = str(caught.value)
    assert "config.yaml:4: agents.assistant.model: there is no such model; " in told
    assert "here is local, offline, or write provider:model, such as openai:gpt-5-mini" in told
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("written", ["''", "[]", "['']"])
def test_an_agent_needs_a_model(load: Callable[..., Settings], written: str) -> None:
    """An empty name or list is refused, with its line."""
    with pytest.raises(SettingsError, match=r"config\.yaml:4: agents\.assistant\.model.*: must not be empty"):
        load(written)


@pytest.mark.parametrize("name", ["offline", "'openai:gpt'", "Local"])
def test_a_name_that_means_something_else_is_refused(load: Callable[..., Settings], name: str) -> None:
    """An endpoint's name can neither replace the embedded model nor look like a provider's model."""
    with pytest.raises(SettingsError, match=r"config\.yaml:1: models"):
        load("local", LOCAL.replace("local", name))


@pytest.mark.parametrize("url", ["http://u:CANARY@h/v1", "ftp://h/v1", "http://h/v1?key=CANARY"])
def test_an_address_holds_no_key(load: Callable[..., Settings], url: str) -> None:
    """An address that holds a key is refused without being quoted, because logs would contain it."""
    with pytest.raises(SettingsError, match=r"config\.yaml:1: models\.local\.base_url") as caught:
        load("local", LOCAL.replace("http://127.0.0.1:11434/v1", f"'{url}'"))

    assert "CANARY" not in str(caught.value)
