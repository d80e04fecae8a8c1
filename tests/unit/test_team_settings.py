"""Teams in config.yaml: where the leader's keys may stand, and which mistakes are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import Settings, load_settings

REST = """
key_ring: {file: keys.yaml}
interfaces: {http: {}}
default_agent: mail
agents:
  mail: {toolkits: [gmail]}
  calendar: {toolkits: [calendar]}
"""


def _load(folder: Path, teams: str) -> Settings:
    path = folder / "config.yaml"
    path.write_text(REST + teams)
    return load_settings(path, {})


def test_a_team_has_the_keys_of_its_leader_wherever_they_stand(tmp_path: Path) -> None:
    """A leader's keys may stand beside the members, below `leader`, or at the agent that `leader` names."""
    settings = _load(
        tmp_path,
        """
  beside: {members: [mail], instructions: Lead., toolkits: [drive]}
  below: {members: [mail], leader: {instructions: Lead., toolkits: [drive]}}
  named: {members: [mail, below], leader: boss, shares_history: true}
  boss: {instructions: Lead., toolkits: [drive]}
""",
    )
    led = settings.led_agents()

    for name in ("beside", "below", "named"):
        assert (led[name].instructions, led[name].toolkits) == ("Lead.", ("drive",))
    assert (led["named"].members, led["named"].shares_history) == (("mail", "below"), True)
    assert led["mail"] is settings.agents["mail"]


@pytest.mark.parametrize(
    ("team", "place", "words"),
    [
        ("a: {members: [mial]}", "agents.a.members.0", "no agent has this name; did you mean mail?"),
        ("a: {members: [mail], leader: mial}", "agents.a.leader", "no agent has this name; did you mean mail?"),
        ("a: {members: [mail, mail]}", "agents.a.members", "two members would both be asked with the tool ask_mail"),
        (
            "x-y: {}\n  x_y: {}\n  a: {members: [x-y, x_y]}",
            "agents.a.members",
            "both be asked with the tool ask_x_y; rename one",
        ),
        ("a: {members: [a]}", "agents.a.members", "these ask each other in a circle: a → a; leave one of them out"),
        (
            "a: {members: [mail, b]}\n  b: {members: [c]}\n  c: {members: [a]}",
            "agents.a.members",
            "in a circle: a → b → c → a",
        ),
        (
            "a: {members: [mail], leader: b}\n  b: {members: [mail]}",
            "agents.a.leader",
            "a team cannot lead another one",
        ),
        ("a: {leader: mail}", "agents.a.leader", "only a team has this; write members:"),
        ("a: {shares_history: true}", "agents.a.shares_history", "only a team has this"),
        ("a: {members: [mail], leader: mail, model: offline}", "agents.a.model", "write it below `leader`"),
        (
            "a: {members: [mail], leader: {agent: mail, model: offline}}",
            "agents.a.leader.model",
            "either the name of an agent or keys of its own",
        ),
        ("a: {members: [mail], leader: {modle: offline}}", "agents.a.leader.modle", "did you mean model?"),
        ("a: {members: [mail], leader: {model: opnai}}", "agents.a.leader.model", "there is no such model"),
        (f"{'m' * 61}: {{}}\n  a: {{members: [{'m' * 61}]}}", "agents.a.members.0", "at most 60 characters"),
    ],
)
def test_a_team_that_cannot_work_stops_the_start(tmp_path: Path, team: str, place: str, words: str) -> None:
    """Each mistake is named with its place in the file and how to fix it."""
    with pytest.raises(SettingsError) as raised:
        _load(tmp_path, f"\n  {team}\n")

    lines = str(raised.value).splitlines()
    assert any(f"{place}: " in line and words in line for line in lines), lines
