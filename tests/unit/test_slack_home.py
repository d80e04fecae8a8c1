"""The App Home of two people: each sees their connected accounts, and can connect and disconnect there."""

from __future__ import annotations

from typing import Any, cast

from app.grants.accounts import Account
from app.oauth.provider import GOOGLE, Provider, Providers, RemovedProvider
from app.sandbox.slack.blocks import buttons_in, check_blocks, shown_text
from interfaces.slack.home import home_of

HUB = "github"


def providers(**titles: str) -> Providers:
    """Return providers with these titles, by name."""
    return Providers({name: cast(Provider, RemovedProvider(title)) for name, title in titles.items()})


def account(email: str, provider: str = GOOGLE, alias: str = "main") -> Account:
    """Return a connected account."""
    return Account(f"{provider}{email}", alias, email, frozenset(), is_default=True, provider=provider)


def seen(*arguments: Any) -> tuple[str, dict[str, str]]:
    """Return the text that a person reads and the command of each button, after checking that Slack accepts them."""
    blocks = check_blocks(home_of(*arguments), "home")
    return shown_text(blocks), {button["text"]["text"]: button["value"] for button in buttons_in(blocks)}


def test_each_account_is_shown_at_its_provider() -> None:
    """Each person sees their own accounts at both providers, with the buttons that fit them."""
    both = providers(google="Google", github="GitHub")
    mine = seen("U0ADA", [account("ada@a.example"), account("ada-l", HUB)], both)
    hers = seen("U0GRACE", [account("grace-h", HUB)], both)

    assert "Google: ada@a.example (main, default)\nGitHub: ada-l (main, default)" in mine[0]
    assert mine[1] == {
        "Connect another Google account": "connect google",
        "Disconnect Google": "disconnect google",
        "Connect another GitHub account": "connect github",
        "Disconnect GitHub": "disconnect github",
    }
    assert "GitHub: grace-h" in hers[0]
    assert [*hers[1]] == ["Connect Google", "Connect another GitHub account", "Disconnect GitHub"]


def test_with_google_alone_no_button_is_longer_than_it_needs() -> None:
    """With Google as the only provider, the button for another account does not repeat its name."""
    google = providers(google="Google")

    assert [*seen("U0ADA", [account("ada@a.example")], google)[1]] == ["Connect another account", "Disconnect Google"]
    assert [*seen("U0GRACE", [], google)[1]] == ["Connect Google"]


def test_an_account_of_a_provider_that_is_gone_is_still_shown() -> None:
    """An account of a removed provider is shown under the provider's old name, without a button."""
    text, buttons = seen("U0ADA", [account("ada-l", "oldhub")], providers(google="Google"))

    assert "oldhub: ada-l" in text
    assert [*buttons] == ["Connect Google"]
