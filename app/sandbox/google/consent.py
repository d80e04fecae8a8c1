"""The pages of the sandbox's consent screen, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jinja2 import Environment

from app.sandbox.people import Person

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} - Google sandbox</title><link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --line: #8884; --accent: #0b57d0; --on-accent: #fff; --warning: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --accent: #a8c7fa; --on-accent: #062e6f; --warning: #f2b8b5; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { width: min(30rem, calc(100vw - 6rem)); padding: 1.5rem 2rem; border: 1px solid var(--line);
  border-radius: 1rem; }
.sandbox { font-size: .8rem; font-weight: 600; letter-spacing: .05em; color: var(--warning); }
h1 { font-size: 1.4rem; font-weight: 500; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
fieldset { border: 1px solid var(--line); border-radius: .75rem; margin: 0 0 1rem; padding: .5rem 1rem; }
legend { padding: 0 .5rem; font-size: .9rem; }
label { display: flex; gap: .75rem; align-items: baseline; padding: .4rem 0; cursor: pointer; }
small { display: block; opacity: .75; overflow-wrap: anywhere; }
.buttons { display: flex; gap: .75rem; justify-content: flex-end; }
button { font: inherit; border-radius: 2rem; padding: .5rem 1.5rem; border: 1px solid var(--line); cursor: pointer; }
button[value=allow] { background: var(--accent); color: var(--on-accent); border-color: transparent; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
</style></head>
<body><main><div class="sandbox">SANDBOX &middot; this is not Google and these are not real accounts</div>
{% if error %}<h1>Access blocked: this request is invalid</h1><p>{{ detail }}</p><p>Error {{ status }}: {{ error }}</p>
{% else %}<h1>{{ client_id }} wants access to a Google Account</h1>
<form method="post">
<fieldset><legend>Choose an account</legend>
{% for person in people %}<label><input type="radio" name="email" value="{{ person.email }}" required
{%- if person.email == chosen %} checked{% endif %}>
<span>{{ person.name }}<small>{{ person.email }}</small></span></label>
{% endfor %}</fieldset>
<input type="hidden" name="granted" value="">
{% if scopes %}<fieldset><legend>Select what it may do</legend>
{% for scope, description in scopes.items() %}<label><input type="checkbox" name="granted" value="{{ scope }}" checked>
<span>{{ description }}<small>{{ scope }}</small></span></label>
{% endfor %}</fieldset>{% endif %}
<p><small>Your name, address and account id are shared as well. You are sent on to {{ redirect_uri }}.</small></p>
<div class="buttons"><button name="decision" value="deny" formnovalidate>Deny</button>
<button name="decision" value="allow">Allow</button></div>
</form>{% endif %}</main></body></html>
"""

_TEMPLATE = Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)


def consent_page(
    *, people: Iterable[Person], chosen: str | None, scopes: Mapping[str, str], client_id: str, redirect_uri: str
) -> str:
    """Return the page that asks a person for consent.

    Args:
        people: The people who can be chosen.
        chosen: The preselected address (``login_hint``), or None.
        scopes: The scopes that can be unticked, with their descriptions.
        client_id: The client that asks.
        redirect_uri: Where the answer goes.
    """
    return _TEMPLATE.render(
        title="Choose an account", people=people, chosen=chosen, scopes=scopes, client_id=client_id,
        redirect_uri=redirect_uri,
    )  # fmt: skip


def error_page(*, error: str, detail: str, status: int) -> str:
    """Return the page for a request that cannot be answered at its redirect URI."""
    return _TEMPLATE.render(title="Error", error=error, detail=detail, status=status)
