"""Checks of the teams in the settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from app.agents.member_names import MAX_MEMBER_NAME, ask_name
from app.sections.agents import AgentSettings
from app.settings_faults import did_you_mean
from app.settings_file import Place


def team_misfits(agents: Mapping[str, AgentSettings]) -> Iterator[tuple[Place, str]]:
    """Yield each mistake in a team: its place in the file, and how to fix it."""
    for name, agent in agents.items():
        here: Place = ("agents", name)
        if agent.leader is not None and (leader := agent.leader.agent) is not None:
            if leader not in agents:
                yield (*here, "leader"), f"no agent has this name; {did_you_mean(leader, agents)}"
            elif agents[leader].members:
                yield (*here, "leader"), "a team cannot lead another one; name an agent without members"
        yield from _members(here, agent, agents)
        if circle := _circle(name, agents):
            yield (*here, "members"), f"these ask each other in a circle: {' → '.join(circle)}; leave one of them out"


def _members(here: Place, agent: AgentSettings, agents: Mapping[str, AgentSettings]) -> Iterator[tuple[Place, str]]:
    for number, member in enumerate(agent.members):
        if member not in agents:
            yield (*here, "members", number), f"no agent has this name; {did_you_mean(member, agents)}"
        elif len(member) > MAX_MEMBER_NAME:
            yield (*here, "members", number), f"a member's name has at most {MAX_MEMBER_NAME} characters; shorten it"
    asks = Counter(map(ask_name, agent.members))
    if taken := [ask for ask, count in asks.items() if count > 1]:
        yield (
            (*here, "members"),
            f"two members would both be asked with the tool {taken[0]}; rename one or leave it out",
        )


def _circle(start: str, agents: Mapping[str, AgentSettings]) -> list[str]:
    """Return the members on the shortest way from a team back to itself, both ends included; empty if there is none."""
    todo, seen = [[start]], {start}
    for path in todo:
        members = agents[path[-1]].members if path[-1] in agents else ()
        for member in members:
            if member == start:
                return [*path, start]
            if member not in seen:
                seen.add(member)
                todo.append([*path, member])
    return []
