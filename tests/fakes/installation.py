"""Commands that run in their own processes, on a database and a Google that the test inspects."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from app.commands.container import opened_container
from app.oauth.tokens import ProviderAccount, ProviderTokens
from app.principal import Principal
from app.sandbox.google.sandbox import GoogleSandbox
from app.settings import load_settings
from containers.application import Application
from tests.fakes.credentials import connect
from tests.fakes.sandbox import CLIENT_ID, CLIENT_SECRET, SandboxClient, on_loopback, sandbox


@dataclass
class DeputyInstallation:
    """The configuration, database and Google on which commands run.

    Attributes:
        config: The configuration file.
        google: The Google.
        client: An application at Google, for actions that bypass Deputy.
        container: The test's own view of the same database.
    """

    config: Path
    google: GoogleSandbox
    client: SandboxClient
    container: Application

    async def connect(
        self, principal: Principal, email: str, *scopes: str, expires_in: float = 3600.0
    ) -> ProviderTokens:
        """Give this person a grant of that account, and return its tokens."""
        answer = await self.client.sign_in(email, *scopes)
        subject = next(person.subject for person in self.google.people if person.email == email)
        tokens = ProviderTokens(
            access_token=answer["access_token"],
            expires_at=time.time() + expires_in,
            refresh_token=answer["refresh_token"],
            granted_scopes=frozenset(answer["scope"].split()),
            account=ProviderAccount(subject, email),
        )
        await connect(self.container.database(), self.container.grants(), principal, tokens)
        return tokens

    def token_calls(self) -> int:
        """Return the number of refreshes that Google was asked for."""
        return sum(call.method_id == "oauth.token.refresh_token" for call in self.google.calls)

    async def killed(self, steps: Sequence[str], *arguments: str) -> AsyncGenerator[int]:
        """Run a command once per step, killing it there each time (see `tests.fakes.killed`); yield the exit codes."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.killed", *steps, "--", *arguments, "-c", str(self.config),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for _ in steps:
                yield int(await asyncio.wait_for(process.stdout.readline(), 60))
                process.stdin.write(b"\n")
                await process.stdin.drain()
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@asynccontextmanager
async def open_installation(folder: Path, database_url: str) -> AsyncIterator[DeputyInstallation]:
    """Yield a configuration in a folder, with a Google on loopback that rotates refresh tokens."""
    google = sandbox()
    async with on_loopback(google) as (base_url, client):
        tree = {
            "database": {"url": database_url},
            "key_ring": {"file": str(folder / "keys.yaml")},
            "google": {
                "mode": "google",
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "api_root": f"{base_url}/",
                "endpoints": {
                    "authorize": f"{base_url}/o/oauth2/v2/auth",
                    "token": f"{base_url}/token",
                    "revoke": f"{base_url}/revoke",
                    "certs": f"{base_url}/oauth2/v1/certs",
                    "issuer": base_url,
                },
            },
            "agents": {"assistant": {"toolkits": ["gmail"]}},
            "default_agent": "assistant",
            "interfaces": {"http": {}},
        }
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(tree))
        async with opened_container(load_settings(config, {})) as container:
            yield DeputyInstallation(config, google, client, container)
