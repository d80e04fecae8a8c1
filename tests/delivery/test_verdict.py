"""The verdict notices each kind of fault in evidence that has no other fault."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from app.sandbox.slack.posts import Post
from tests.delivery.badge import badge_of
from tests.delivery.ledger import Change, Row
from tests.delivery.record import Run
from tests.delivery.script import Line, Script, write_script
from tests.delivery.verdict import Evidence, Verdict, judge

T = TypeVar("T")

SCRIPT = write_script(random.Random(7), messages=60, conversations=8, repeated=5)


def text(line: Line, run: str | None = None) -> str:
    """Return the answer to a line from its one run."""
    return f"answer to {line.name} by {run or run_of(line)} with badge {badge_of(line.principal)}"


def run_of(line: Line) -> str:
    """Return the name of a line's one run."""
    return f"{int(line.name[1:]):08x}"


def flawless(script: Script) -> Evidence:
    """Return the evidence of a script that was processed correctly, one message after the other."""
    runs, posts, rows, changes = [], [], [], []
    for conversation in script.conversations:
        for line in conversation:
            number, event_id = float(int(line.name[1:])), line.event_id
            runs.append(Run(run_of(line), line.name, 1, line.earlier, number, number + 0.5))
            posts.append(
                Post(
                    "chat.postMessage",
                    line.place[0],
                    None,
                    line.place[1],
                    text(line),
                    f"{number}",
                    line.principal.tenant,
                )
            )
            rows.append(Row(event_id, line.principal, line.conversation, line.position + 1, "done", text(line)))
            changes += [Change(event_id, line.conversation, state, 1) for state in ("running", "done")]
    return Evidence(sorted(runs, key=lambda run: run.began), {}, posts, rows, changes)


EVIDENCE = flawless(SCRIPT)
FIRST, SECOND = SCRIPT.conversations[2][:2]
OTHER = next(line for line in SCRIPT.lines.values() if line.principal.tenant != FIRST.principal.tenant)


def index(items: Sequence[T], line: Line) -> int:
    """Return the position of a line's first item among rows, changes, runs or posts."""
    marks = (line.name, line.event_id)
    return next(number for number, item in enumerate(items) if any(mark in repr(item) for mark in marks))


def changed(items: Sequence[T], line: Line, change: Callable[[T], T]) -> list[T]:
    """Return the items with a line's first item changed."""
    at = index(items, line)
    return [*items[:at], change(items[at]), *items[at + 1 :]]


def run_twice() -> Evidence:
    """Return evidence of a row that was finished twice."""
    again = Change(FIRST.event_id, FIRST.conversation, "done", 1)
    return replace(EVIDENCE, changes=[*EVIDENCE.changes, again])


def told_by_another_run() -> Evidence:
    """Return evidence of a row that holds the answer of a run that Slack never saw."""
    return replace(EVIDENCE, rows=changed(EVIDENCE.rows, FIRST, lambda row: replace(row, answer=text(FIRST, "f" * 8))))


def long_run() -> Evidence:
    """Return evidence of a run that continues while the next one of its conversation has begun."""
    return replace(EVIDENCE, runs=changed(EVIDENCE.runs, FIRST, lambda run: replace(run, ended=1e9)))


def two_rows_running() -> Evidence:
    """Return evidence of a row that is begun before the previous one has ended."""
    changes = list(EVIDENCE.changes)
    at = index(changes, SECOND)
    changes[at], changes[at - 1] = changes[at - 1], changes[at]
    return replace(EVIDENCE, changes=changes)


def foreign_post(change: Callable[[Post], Post]) -> Evidence:
    """Return the evidence with one answer changed."""
    return replace(EVIDENCE, posts=changed(EVIDENCE.posts, FIRST, change))


def others_badge(post: Post) -> Post:
    """Return the answer with another person's badge."""
    return replace(post, text=post.text.replace(badge_of(FIRST.principal), badge_of(OTHER.principal)))


F, S = frozenset({FIRST.name}), frozenset({SECOND.name})
FAULTS: dict[str, tuple[Evidence, Verdict]] = {
    "a row is gone": (
        replace(EVIDENCE, rows=[row for row in EVIDENCE.rows if row.event_id != FIRST.event_id]),
        Verdict(lost=F),
    ),
    "a row failed": (
        replace(EVIDENCE, rows=changed(EVIDENCE.rows, FIRST, lambda row: replace(row, state="failed"))),
        Verdict(lost=F),
    ),
    "a row was stored twice": (
        replace(EVIDENCE, rows=[*EVIDENCE.rows, EVIDENCE.rows[index(EVIDENCE.rows, FIRST)]]),
        Verdict(lost=F, disordered=F),
    ),
    "a row was finished twice": (run_twice(), Verdict(doubled=F)),
    "another run was told": (told_by_another_run(), Verdict(doubled=F)),
    "a run took too long": (long_run(), Verdict(overlapping=F | S)),
    "two rows ran at once": (two_rows_running(), Verdict(overlapping=F | S, disordered=S)),
    "the history was another": (
        replace(EVIDENCE, runs=changed(EVIDENCE.runs, FIRST, lambda run: replace(run, earlier=("m9999",)))),
        Verdict(disordered=F),
    ),
    "two rows changed places": (
        replace(EVIDENCE, rows=changed(EVIDENCE.rows, SECOND, lambda row: replace(row, sequence=0))),
        Verdict(disordered=S),
    ),
    "nobody was told": (
        replace(EVIDENCE, posts=[post for post in EVIDENCE.posts if FIRST.name not in post.text]),
        Verdict(unanswered=F),
    ),
    "somebody was told twice": (
        replace(EVIDENCE, posts=[*EVIDENCE.posts, EVIDENCE.posts[index(EVIDENCE.posts, FIRST)]]),
        Verdict(copies=Counter({FIRST.name: 1})),
    ),
    "a badge was another's": (foreign_post(others_badge), Verdict(foreign=F)),
    "it was told elsewhere": (foreign_post(lambda post: replace(post, channel="D0ELSEWHERE")), Verdict(foreign=F)),
    "a row is another's": (
        replace(EVIDENCE, rows=changed(EVIDENCE.rows, FIRST, lambda row: replace(row, principal=OTHER.principal))),
        Verdict(foreign=F),
    ),
}


def test_flawless_evidence_has_an_empty_verdict() -> None:
    """The verdict on flawless evidence is empty."""
    assert judge(SCRIPT, EVIDENCE) == Verdict()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str) -> None:
    """Each fault appears in the expected categories of the verdict, and in no others."""
    evidence, expected = FAULTS[fault]

    assert judge(SCRIPT, evidence) == expected


def test_a_run_ends_with_its_process() -> None:
    """A run whose process was killed ends at that moment, so that it does not overlap with a later run."""
    cut_off = replace(EVIDENCE, runs=changed(EVIDENCE.runs, FIRST, lambda run: replace(run, ended=None)))
    following = EVIDENCE.runs[index(EVIDENCE.runs, SECOND)].began

    assert judge(SCRIPT, cut_off) == Verdict()
    assert judge(SCRIPT, replace(cut_off, absences={1: [following - 0.1]})) == Verdict()
    assert judge(SCRIPT, replace(cut_off, absences={1: [following + 0.1]})).overlapping == F | S


def test_a_process_that_was_woken_lets_go_of_what_it_was_about_to_begin() -> None:
    """A woken process may begin what it was about to begin beside what others do, but may not end it."""
    at = EVIDENCE.runs[index(EVIDENCE.runs, SECOND)].began + 0.1
    begun = Run("late", FIRST.name, 2, (), at)
    beside = replace(EVIDENCE, runs=sorted([*EVIDENCE.runs, begun], key=lambda run: run.began))
    ended = replace(beside, runs=[replace(run, ended=at + 0.01) if run is begun else run for run in beside.runs])

    assert judge(SCRIPT, replace(beside, wakes={2: [at - 0.01]})) == Verdict()
    assert judge(SCRIPT, replace(ended, wakes={2: [at - 0.01]})).overlapping == F | S
    assert judge(SCRIPT, replace(beside, wakes={2: [at - 1]})).overlapping == F | S
    assert judge(SCRIPT, replace(beside, wakes={1: [at - 0.01]})).overlapping == F | S


def begun_in(order: Sequence[Line], put_back: Line) -> Evidence:
    """Return the evidence with one conversation begun in another order, after one of its messages was put back."""
    others = [change for change in EVIDENCE.changes if change.conversation != put_back.conversation]
    begun = [Change(put_back.event_id, put_back.conversation, state, 1) for state in ("running", "new")]
    for line in order:
        begun += [Change(line.event_id, line.conversation, state, 2) for state in ("running", "done")]
    return replace(EVIDENCE, changes=[*others, *begun])


def test_what_waits_for_another_try_holds_up_its_own_person_only() -> None:
    """A message that waits for a retry holds up only its own person's messages, which keep their order."""
    thread = SCRIPT.conversations[2]
    mine = [line for line in thread if line.principal == FIRST.principal]
    others = [line for line in thread if line.principal != FIRST.principal]

    assert len(mine) >= 2
    assert len(others) >= 2
    assert judge(SCRIPT, begun_in([*others, *mine], put_back=FIRST)) == Verdict()
    assert judge(SCRIPT, begun_in([mine[1], mine[0], *others, *mine[2:]], put_back=FIRST)).disordered >= {mine[1].name}
    assert judge(SCRIPT, begun_in([*others, *mine], put_back=others[0])).disordered == {line.name for line in others}
