"""Tests of what `deputy doctor` finds out about the providers at which people connect accounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.commands.connection_checkup import look_at_connections
from app.diagnosis import Diagnosis, Verdict
from app.oauth.presets import PRESETS
from app.sandbox.oauth.differences import GITHUB, Differences
from app.sandbox.oauth.sandbox import OAuthSandbox
from app.sandbox.server import serve_loopback
from app.sections.connections import ConnectionSettings
from app.settings import Settings
from containers.build import build
from containers.testing import settings_in
from tests.fakes.hub import CLIENT_ID, PUBLIC_URL, SECRET, PresetSettings, settings_of
from tests.integration.test_presets import VENDORS

WRONG = "a-secret-that-is-not-the-clients"


async def looked(settings: Settings) -> list[Diagnosis]:
    """Return the diagnoses of the connections."""
    container = build(settings)
    try:
        return [each async for each in look_at_connections(container, settings)]
    finally:
        await container.http().aclose()


async def test_the_client_of_each_provider_is_tried(tmp_path: Path) -> None:
    """An accepted client is fine; a client with a wrong secret and a provider that is unreachable are faults."""
    callback = f"{PUBLIC_URL}/oauth/hub/callback"
    sandbox = OAuthSandbox(client_id=CLIENT_ID, client_secret=SECRET, redirect_uris=frozenset({callback}))
    async with serve_loopback(sandbox.app) as root:
        right = settings_of(root, GITHUB)
        wrong = settings_of(root, GITHUB, title="Wrong", client_secret=SecretStr(WRONG))
        settings = settings_in(tmp_path)
        accepted, refused = await looked(settings.model_copy(update={"connections": {"hub": right, "wrong": wrong}}))
    (gone,) = await looked(settings.model_copy(update={"connections": {"hub": right}}))

    assert (accepted.title, accepted.verdict) == ("Hub", Verdict.OK)
    assert callback in accepted.found
    assert (refused.title, refused.verdict) == ("Wrong", Verdict.FAULT)
    assert "connections.wrong" in refused.remedy
    assert WRONG not in f"{refused}"
    assert gone.verdict is Verdict.FAULT


@pytest.mark.parametrize(("preset", "differences"), [each[:2] for each in VENDORS.values()], ids=VENDORS)
async def test_the_client_of_each_preset_is_tried(tmp_path: Path, preset: str, differences: Differences) -> None:
    """Each vendor's right client is accepted, and one with a wrong secret is refused with the remedy."""
    callback = f"{PUBLIC_URL}/oauth/right/callback"
    sandbox = OAuthSandbox(
        client_id=CLIENT_ID, client_secret=SECRET, redirect_uris=frozenset({callback}), differences=differences
    )
    async with serve_loopback(sandbox.app) as root:
        client = {"client_id": CLIENT_ID, "client_secret": SecretStr(SECRET)}
        right = PresetSettings.model_validate({"provider": preset, "root": root, **client})
        wrong = right.model_copy(update={"client_secret": SecretStr(WRONG)})
        update = {"connections": {"right": right, "wrong": wrong}}
        accepted, refused = await looked(settings_in(tmp_path).model_copy(update=update))

    assert (accepted.title, accepted.verdict) == (PRESETS[preset].title, Verdict.OK)
    assert callback in accepted.found
    assert (refused.verdict, "connections.wrong" in refused.remedy) == (Verdict.FAULT, True)
    assert WRONG not in f"{refused}"


async def test_a_sandbox_is_named_and_not_asked(tmp_path: Path) -> None:
    """A sandbox is only noted, because it runs in the server itself; without its port, a client id is required."""
    section = ConnectionSettings(provider="github", sandbox_port=0)
    (found,) = await looked(settings_in(tmp_path).model_copy(update={"connections": {"github": section}}))

    assert (found.title, found.verdict) == ("GitHub", Verdict.NOTE)
    assert "sandbox_port" in found.remedy
    for provider, port in (("github", None), ("linear", 0)):
        with pytest.raises(ValueError, match=r"OAuth client|only github"):
            ConnectionSettings.model_validate({"provider": provider, "sandbox_port": port})


@pytest.mark.parametrize("name", ["google", "login"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, name: str) -> None:
    """A connection's name is refused if its redirect URI is taken, by Google's consent or by a channel's sign-in."""
    connections = {name: settings_of("http://127.0.0.1:9", GITHUB)}

    with pytest.raises(ValueError, match="take another name"):
        Settings.model_validate({**dict(settings_in(tmp_path)), "connections": connections})
