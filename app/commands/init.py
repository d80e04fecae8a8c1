"""`deputy init`: write a configuration from the answers to a few questions."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from app.commands.blueprint import (
    DATABASE_VARIABLE,
    KEY_VARIABLE,
    OWN_MODEL_VARIABLE,
    TELEGRAM_VARIABLE,
    Choices,
    GoogleMode,
    channel_keys,
    config_text,
    environment_text,
    secret_variables,
)
from app.commands.common import CONFIG, FAILED, WRONG, ConfigOption, fail
from app.keys.file import make_key
from app.oauth.presets import PRESETS
from app.sections.agents import OFFLINE
from app.sections.interfaces import InterfacesSettings

T = TypeVar("T")

ENVIRONMENT_FILE = "deputy.env"
_CHANNELS = tuple(InterfacesSettings.model_fields)
_LOCAL_URL = "http://127.0.0.1:8080"
_URL = re.compile(r"https?://[^\s/?#@]+")
_SCHEME = re.compile(r"^(postgres|postgresql)://")  # as hosting companies write it; Deputy's driver is named too


def init(
    config: ConfigOption = CONFIG,
    channel: Annotated[
        list[str] | None, typer.Option(help=f"Serve this channel; repeatable: {', '.join(_CHANNELS)}.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The address at which people reach the server.")] = None,
    google: Annotated[
        str | None, typer.Option(help="sandbox: made-up mail on this machine; google: people's own accounts.")
    ] = None,
    connection: Annotated[
        list[str] | None,
        typer.Option(help=f"Let people connect accounts there too; repeatable: {', '.join(PRESETS)}."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="offline, provider:model, or the address of an endpoint that speaks OpenAI's protocol."),
    ] = None,
    model_name: Annotated[str | None, typer.Option(help="The model's name at that endpoint.")] = None,
    database: Annotated[str | None, typer.Option(help="sqlite or postgresql.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing, and take the default where no option is given.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Write config.yaml and a file with its secrets, from a few questions, and check the result.

    Without a terminal, or with --yes, nothing is asked. Secrets are never options: they are asked for, or taken from
    the environment under the names that the configuration uses, such as SLACK_BOT_TOKEN. In the file, missing ones are
    empty.
    """
    questions = Questions(asking=not yes and sys.stdin.isatty())
    environment = config.with_name(ENVIRONMENT_FILE)
    questions.may_replace([config, environment], force)
    given = {"google": google, "url": url, "model": model, "model_name": model_name, "database": database}
    several = {"channel": channel, "connection": connection}
    given |= {name: ",".join(values) if values else None for name, values in several.items()}
    choices = _ask(questions, given)
    variables = secret_variables(choices)
    values = {name: questions.secret(name, meaning) for name, meaning in variables.items()}
    if not values.get(OWN_MODEL_VARIABLE, "there is none"):
        del variables[OWN_MODEL_VARIABLE], values[OWN_MODEL_VARIABLE]
    _write(config, config_text(choices, variables), mode=0o644)
    if variables:
        _write(environment, environment_text(variables, values), mode=0o600)
    print(
        f"\nWrote {config}"
        + (f", and {environment}, which only you can read." if variables else "; it has no secrets.")
    )
    _say_what_to_do_elsewhere(choices, config)
    _check(config, environment, values)


def _ask(questions: Questions, given: Mapping[str, str | None]) -> Choices:
    """Return what was chosen, by the options that were given or by answers to questions."""
    google = "Google: sandbox (made-up mail) or google (people's own accounts)"
    accounts = f"Further accounts ({', '.join(PRESETS)}; - for none)"
    model = "Model: offline (a demo), provider:model, or your own endpoint's address"
    choose = questions.choose
    choices = Choices(
        channels=choose(given["channel"], f"Channels ({', '.join(_CHANNELS)})", "http", _channels),
        public_url=choose(given["url"], "Address at which people reach the server", _LOCAL_URL, _root_url),
        google=choose(given["google"], google, "sandbox", _google),
        connections=choose(given["connection"], accounts, "-", _connections),
        model=choose(given["model"], model, OFFLINE, _model),
        postgresql=choose(given["database"], "Database: sqlite or postgresql", "sqlite", _is_postgresql),
    )
    if choices.has_own_model():
        name = choose(given["model_name"], "The model's name there, such as llama3.2", "", _not_empty)
        choices = replace(choices, model_name=name)
    return replace(choices, plain=questions.plain_values(choices))


class Questions:
    """Asks on the terminal, or takes what the options, the environment and the defaults say. Lives for one command."""

    def __init__(self, *, asking: bool) -> None:
        self._asking = asking

    def may_replace(self, files: Sequence[Path], force: bool) -> None:
        """End the command unless these files are new, or may be replaced."""
        there = [str(file) for file in files if file.exists()]
        if not there or force:
            return
        found = f"{there[0]} exists" if len(there) == 1 else f"{' and '.join(there)} exist"
        if not self._asking:
            fail(f"{found}; name another file with --config, or replace with --force", FAILED)
        if not typer.confirm(f"{found}. Replace?", default=False):
            fail("nothing was changed", FAILED)

    def choose(self, given: str | None, question: str, default: str, read: Callable[[str], T]) -> T:
        """Return the option's value, or the answer to the question, as `read` makes it of the text.

        Args:
            given: The option's value, or None if it was not given.
            question: The question to ask if it was not.
            default: The answer that is taken if nothing is asked.
            read: Returns the value, or raises `typer.BadParameter`, upon which the question is asked again.
        """
        if given is not None or not self._asking:
            try:
                return read(default if given is None else given)
            except typer.BadParameter as error:
                fail(f"{question}: {error.message}", WRONG)
        answer: T = typer.prompt(question, default=default, value_proc=read)
        return answer

    def secret(self, name: str, meaning: str) -> str:
        """Return the value of a secret from the environment or from a hidden answer, or an empty text."""
        value = os.environ.get(name, "").strip()
        if not value and name == KEY_VARIABLE:
            return make_key()
        if not value and name == TELEGRAM_VARIABLE:
            return secrets.token_urlsafe(32)
        if not value and self._asking:
            shown = name == DATABASE_VARIABLE  # nobody writes an address without seeing it
            question = f"{meaning} (Enter to fill in later)"
            value = typer.prompt(question, default="", hide_input=not shown, show_default=False).strip()
        return _SCHEME.sub("postgresql+asyncpg://", value) if name == DATABASE_VARIABLE else value

    def plain_values(self, choices: Choices) -> Mapping[str, str]:
        """Return the values of channels that are no secrets, by the name of their variable."""
        return {
            key.variable: self.choose(os.environ.get(key.variable), f"{channel}: {key.description}", "", _not_empty)
            for channel in choices.channels
            for key in channel_keys(channel, choices)
            if not key.secret
        }


def _say_what_to_do_elsewhere(choices: Choices, config: Path) -> None:
    """Print what the deployer has to enter at Google and at the platforms."""
    if choices.google == "google":
        from interfaces.web.interface import callback_url

        print("\nGoogle Cloud console, Credentials, your OAuth client, Authorised redirect URIs:")
        print(f"  {callback_url(choices.public_url)}")
    for name in choices.connections:
        from interfaces.web.interface import callback_url

        print(f"\n{PRESETS[name].title}, your OAuth client, its redirect URI or callback URL:")
        print(f"  {callback_url(choices.public_url, name)}")
    for channel in choices.channels:
        if channel == "slack":
            from app.commands.slack import print_manifest

            print("\nSlack: create the app at https://api.slack.com/apps, From a manifest, and paste this:\n")
            print_manifest(config)
        elif channel != "http":
            print(f"\n{channel}: docs/{channel}.md says what to enter there.")


def _check(config: Path, environment: Path, values: Mapping[str, str]) -> None:
    """Check the new configuration as `deputy check` does, if all of its secrets are there; say how to start."""
    place = shlex.quote(str(environment) if environment.is_absolute() else f"./{environment}")
    setting = f"set -a; . {place}; set +a" if values else ""
    option = "" if config == CONFIG else f" --config {shlex.quote(str(config))}"
    if missing := [name for name, value in values.items() if not value]:
        print(f"\nFill in {', '.join(missing)} in {environment}. Then check and start:")
        print(f"  {setting}\n  deputy check{option}\n  deputy serve{option}")
        return
    from app.commands.proof import check

    os.environ.update(values)
    print("\nChecking it, as `deputy check` does:")
    check(config)
    print("\nStart it:", *filter(None, (setting, f"deputy serve{option}")), sep="\n  ")


def _write(file: Path, text: str, *, mode: int) -> None:
    """Replace a file as a whole; at no moment may anybody read it whom its mode excludes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # with mode 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as written:
            written.write(text)
        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _channels(text: str) -> tuple[str, ...]:
    named = [part.strip().lower() for part in text.split(",") if part.strip()]
    if unknown := [name for name in named if name not in _CHANNELS]:
        raise typer.BadParameter(f"there is no channel {unknown[0]}; there is {', '.join(_CHANNELS)}")
    if not named:
        raise typer.BadParameter("name at least one")
    return tuple(dict.fromkeys(named))


def _connections(text: str) -> tuple[str, ...]:
    named = [part.strip().lower() for part in text.split(",") if part.strip(" -")]
    if unknown := [name for name in named if name not in PRESETS]:
        raise typer.BadParameter(f"there is no {unknown[0]}; there is {', '.join(PRESETS)}")
    return tuple(dict.fromkeys(named))


def _root_url(text: str) -> str:
    url = text.strip().rstrip("/")
    if not _URL.fullmatch(url):
        raise typer.BadParameter("write scheme and host only, such as https://deputy.example.com")
    return url


def _google(text: str) -> GoogleMode:
    match text.strip().lower():
        case "sandbox":
            return "sandbox"
        case "google":
            return "google"
    raise typer.BadParameter("write sandbox or google")


def _model(text: str) -> str:
    model = text.strip()
    provider, _, name = model.partition(":")
    if model != OFFLINE and not (provider and name):
        raise typer.BadParameter(f"write {OFFLINE}, provider:model (openai:gpt-5-mini), or http://host:port/v1")
    return model


def _is_postgresql(text: str) -> bool:
    kind = text.strip().lower()
    if kind not in ("sqlite", "postgresql"):
        raise typer.BadParameter("write sqlite or postgresql")
    return kind == "postgresql"


def _not_empty(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("a value is needed here")
    return text.strip()
