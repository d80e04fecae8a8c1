"""The consent page of the sandbox's provider, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jinja2 import Environment

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ heading }} - {{ title }} sandbox</title><link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --line: #8884; --accent: #1a7f37; --on-accent: #fff; --warning: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --accent: #7ee0a0; --on-accent: #04260f; --warning: #f2b8b5; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { box-sizing: border-box; width: min(30rem, calc(100vw - 2rem)); margin: 1rem 0; padding: 1.5rem 2rem;
  border: 1px solid var(--line); border-radius: .75rem; }
.sandbox { font-size: .8rem; font-weight: 600; letter-spacing: .05em; color: var(--warning); }
h1 { font-size: 1.4rem; font-weight: 500; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; }
small { display: block; opacity: .75; overflow-wrap: anywhere; }
.buttons { display: grid; gap: .75rem; margin-top: 1rem; }
button { width: 100%; font: inherit; cursor: pointer; border-radius: .5rem; padding: .5rem 1.5rem;
  border: 1px solid var(--line); }
button[name=account] { background: var(--accent); color: var(--on-accent); border-color: transparent; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
</style></head>
<body><main><div class="sandbox">SANDBOX &middot; this is not {{ title }} and these are not real accounts</div>
<h1>{{ heading }}</h1>
{% if refusal %}<p>{{ refusal }}</p>
{% else %}{% if scopes %}<p>It asks for:</p>
<ul>{% for scope in scopes %}<li><code>{{ scope }}</code></li>{% endfor %}</ul>
{% else %}<p>It asks for nothing but who you are.</p>
{% endif %}<p><small>You are sent on to {{ redirect_uri }}.</small></p>
<div class="buttons">
{% for account in accounts %}<form method="post"><input type="hidden" name="decision" value="allow">
<button name="account" value="{{ account }}">Authorize as {{ account }}</button></form>
{% endfor %}<form method="post"><input type="hidden" name="account" value="{{ accounts[0] }}">
<button name="decision" value="deny">Cancel</button></form>
</div>{% endif %}</main></body></html>
"""

_TEMPLATE = Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)


def consent_page(
    *, title: str, client_id: str, accounts: Sequence[str], scopes: Iterable[str], redirect_uri: str
) -> str:
    """Return the page that asks whether a client may act as one of these accounts.

    Args:
        title: The provider's name.
        client_id: The client that asks.
        accounts: The accounts that can be chosen; at least one.
        scopes: The OAuth scopes that it asks for.
        redirect_uri: Where the answer goes.
    """
    heading = f"{client_id} wants access to a {title} account"
    return _TEMPLATE.render(
        title=title, heading=heading, accounts=accounts, scopes=sorted(scopes), redirect_uri=redirect_uri
    )


def refusal_page(title: str, refusal: str) -> str:
    """Return the page for a request that cannot be answered at its redirect URI."""
    return _TEMPLATE.render(title=title, heading="This request is invalid", refusal=refusal)
