"""The verdict on a run: the messages that were written, compared with the record, Slack and the database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from app.sandbox.slack.posts import Post
from tests.delivery.badge import badge_of
from tests.delivery.ledger import Change, Row
from tests.delivery.record import ANSWER, Run
from tests.delivery.script import Line, Script

_STEP_SECONDS = 0.9  # how long after waking a process may still do what it was about to do when it was frozen


@dataclass(frozen=True)
class Verdict:
    """The faults found, by the names of messages; if all fields are empty, there were none.

    Attributes:
        lost: There is not exactly one row, or its final state is not done.
        doubled: It was finished more than once, or Slack shows another run's answer than the row holds.
        overlapping: It was in progress at the same time as another message of its conversation or another run of it.
        disordered: It was stored or begun out of the order in which it was written, or its history was not what the
            same person had written before. A message that was put back may be overtaken by other people's.
        unanswered: Slack has no answer to it.
        copies: The number of answers that Slack has beyond the first.
        foreign: Its answer is in another place or carries another person's badge, or its row names another sender.
        strange: The texts of the bot's posts that answer no message.
    """

    lost: frozenset[str] = frozenset()
    doubled: frozenset[str] = frozenset()
    overlapping: frozenset[str] = frozenset()
    disordered: frozenset[str] = frozenset()
    unanswered: frozenset[str] = frozenset()
    copies: Counter[str] = field(default_factory=Counter)
    foreign: frozenset[str] = frozenset()
    strange: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Evidence:
    """The evidence of each witness.

    Attributes:
        runs: From the toolkit's record, in the order in which they began.
        absences: By pid, when the process was killed or frozen; from then on it no longer held its work.
        posts: From Slack.
        rows: From the database at the end.
        changes: From the database's trigger.
        wakes: By pid, when the process was woken: it may then begin what it was about to, but must abandon it.
    """

    runs: Sequence[Run]
    absences: Mapping[int, Sequence[float]]
    posts: Sequence[Post]
    rows: Sequence[Row]
    changes: Sequence[Change]
    wakes: Mapping[int, Sequence[float]] = field(default_factory=dict)


def judge(script: Script, evidence: Evidence) -> Verdict:
    """Compare the evidence with the script."""
    lines = script.lines
    runs = [run for run in evidence.runs if not _is_let_go(run, evidence.wakes)]
    rows = _by_name(evidence.rows)
    answers = [(match, post) for post in evidence.posts if (match := ANSWER.fullmatch(post.text)) is not None]
    told = Counter(match["name"] for match, _ in answers)
    answering: defaultdict[str, set[str]] = defaultdict(set)
    for match, _ in answers:
        answering[match["name"]].add(match["run"])
    for name, its_rows in rows.items():
        stored = [ANSWER.fullmatch(row.answer or "") for row in its_rows]
        answering[name].update(match["run"] for match in stored if match is not None)
    changes = _walk(lines, evidence.changes)
    foreign_posts = (m["name"] for m, post in answers if not _is_own(lines.get(m["name"]), post, m["badge"]))
    foreign_rows = (name for name, its_rows in rows.items() if not _is_senders(lines.get(name), its_rows))
    return Verdict(
        lost=frozenset(name for name in lines if [row.state for row in rows.get(name, ())] != ["done"]),
        doubled=changes.doubled | {name for name, runs in answering.items() if len(runs) > 1},
        overlapping=changes.overlapping | set(_overlapping(lines, runs, evidence.absences)),
        disordered=changes.disordered | set(_disordered(script, rows, runs)),
        unanswered=frozenset(lines.keys() - told.keys()),
        copies=Counter({name: count - 1 for name, count in told.items() if count > 1}),
        foreign=frozenset((*foreign_posts, *foreign_rows)),
        strange=frozenset(post.text for post in evidence.posts if ANSWER.fullmatch(post.text) is None),
    )


def _by_name(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[_name(row.event_id)].append(row)
    return found


def _name(event_id: str) -> str:
    return f"m{int(event_id.rpartition('.')[2]):04}"


def _is_own(line: Line | None, post: Post, badge: str) -> bool:
    return line is not None and (post.channel, post.thread_ts) == line.place and badge == badge_of(line.principal)


def _is_senders(line: Line | None, rows: Iterable[Row]) -> bool:
    return line is not None and all(
        (row.principal, row.conversation) == (line.principal, line.conversation) for row in rows
    )


@dataclass(frozen=True)
class _Walked:
    doubled: frozenset[str]
    overlapping: frozenset[str]
    disordered: frozenset[str]


def _walk(lines: Mapping[str, Line], changes: Iterable[Change]) -> _Walked:
    """Follow the rows through their changes: one at a time in a conversation, each after all earlier ones are done.

    A message that was put back may wait for another attempt. Meanwhile it holds up later messages of its own person,
    and other people's may overtake them all.
    """
    conversations: defaultdict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines.values():
        conversations[line.conversation].append(line)
    put_back, done = set[str](), set[str]()
    doubled, overlapping, disordered = set[str](), set[str](), set[str]()
    running: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for change in changes:
        name, conversation = _name(change.event_id), change.conversation
        if change.state == "running":
            running[conversation].add(name)
            if len(running[conversation]) > 1:
                overlapping |= running[conversation]
            before = [line for line in conversations[conversation] if line.position < lines[name].position]
            for other in before:
                is_held_up = not put_back.isdisjoint({other.name, *other.earlier} - done)
                if other.name not in done and (other.principal == lines[name].principal or not is_held_up):
                    disordered.add(name)
            continue
        running[conversation].discard(name)
        if change.state == "new":
            put_back.add(name)
        if change.state == "done":
            if name in done:
                doubled.add(name)
            done.add(name)
    return _Walked(frozenset(doubled), frozenset(overlapping), frozenset(disordered))


def _is_let_go(run: Run, wakes: Mapping[int, Sequence[float]]) -> bool:
    """Return whether a process that was frozen just before this run began it on waking, and did not end it."""
    return run.ended is None and any(0 <= run.began - woken < _STEP_SECONDS for woken in wakes.get(run.pid, ()))


def _overlapping(
    lines: Mapping[str, Line], runs: Iterable[Run], absences: Mapping[int, Sequence[float]]
) -> Iterator[str]:
    by_conversation: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        by_conversation[lines[run.name].conversation].append(run)
    for its_runs in by_conversation.values():
        for run, following in pairwise(its_runs):
            ends = [moment for moment in absences.get(run.pid, ()) if moment >= run.began]
            if run.ended is not None:
                ends.append(run.ended)
            if ends and min(ends) > following.began:
                yield from (run.name, following.name)


def _disordered(script: Script, rows: Mapping[str, list[Row]], runs: Iterable[Run]) -> Iterator[str]:
    lines = script.lines
    yield from (run.name for run in runs if run.earlier != lines[run.name].earlier)
    for conversation in script.conversations:
        sequences = [(row.sequence, line.name) for line in conversation for row in rows.get(line.name, ())]
        yield from (later for (one, _), (other, later) in pairwise(sequences) if other <= one)
