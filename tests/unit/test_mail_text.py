"""HTML mail as text, and long text in pages."""

from __future__ import annotations

import time

import pytest

from app.toolkits.mail_text import MAX_HTML, PAGE_LENGTH, html_to_text, pages


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>One<p>Two", "One\n\nTwo"),
        ("a<br>b<div>c</div>d", "a\nb\nc\nd"),
        ("<br>a<br><br><br><br>b", "a\n\nb"),
        ("<ul><li>one<li>two</ul>end", "- one\n- two\n\nend"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"),
        ("  many \n\n spaces&nbsp;&#8203; here ", "many spaces here"),
        ("<pre>if x:\n    y()</pre>", "if x:\n    y()"),
        ("<h1>Title</h1>Text", "Title\n\nText"),
        ("<img alt='Our logo' src='https://x.example/1.png'>", "[Our logo]"),
        ("1 < 2 &amp; 3 > 2 &eacute; &#x1F600;", "1 < 2 & 3 > 2 é 😀"),
        ("<!-- note --><!doctype html><?xml?>seen", "seen"),
        ("<title>Not</title><style>b{}</style><script>if (1<2) '</p>'</script >seen", "seen"),
    ],
)
def test_text_is_what_is_shown(source: str, text: str) -> None:
    """Blocks are lines, paragraphs stand apart, runs of blanks are one, and what is not shown is gone."""
    assert html_to_text(source) == text


@pytest.mark.parametrize(
    "hidden",
    [
        "<div style='display: none'>x<div>x</div>x</div>",
        "<span style='FONT-SIZE:0px'>x</span>",
        "<span style='color:red;opacity:0.0'>x</span>",
        "<i hidden>x</i>",
        "<div style='max-height:0;overflow:hidden'>x</div>",
        "<template>x</template><select><option>x</select>",
        "<table><tr><td hidden>x<td></table>",
        "<img alt='x' style='visibility:hidden'>",
    ],
)
def test_hidden_text_is_left_out(hidden: str) -> None:
    """What a person is not shown, the model is not told."""
    assert html_to_text(f"<div>a{hidden}b</div>").split() in (["ab"], ["a", "b"])


def test_small_is_not_hidden() -> None:
    """Half a unit is not nothing."""
    assert html_to_text("<b style='font-size:0.5em'>a</b><b style='opacity:0.9'>b</b>") == "ab"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<a href='https://x.example/a?b=1&amp;c=2'>here</a>", "here (https://x.example/a?b=1&c=2)"),
        ("<a href='https://x.example/'>x.example</a>", "x.example"),
        ("<a href='mailto:ada@x.example?subject=Hi'>Ada</a>", "Ada (ada@x.example)"),
        ("<a href='javascript:alert(1)'>run</a><a href='#top'>up</a>", "runup"),
        (f"<a href='https://x.example/{'t' * 300}'>long</a>", "long (https://x.example/…)"),
        ("<a href='https://x.example/pixel'><img src=p></a>", ""),
        (f"<a href='http://[{'t' * 300}'>no host</a>", "no host"),
        (
            "<a href=https://x.example/1>one <a href=https://x.example/2>2",
            "one (https://x.example/1)2 (https://x.example/2)",
        ),
    ],
)
def test_a_links_target_follows_its_text(source: str, text: str) -> None:
    """A target that says more than the text stands behind it; scripts do not, and long ones only with their host."""
    assert html_to_text(source) == text


BROKEN = [
    "<",
    "</",
    "<a a",
    '<a href="',
    "<!--",
    "<![CDATA[",
    "<div hidden>",
    "&#9",
    "&",
    "<b></i>",
    "<a '\"",
    "\u200c ",
]


@pytest.mark.parametrize("piece", [*BROKEN, "<p style='font-size:", "0", "<pre>\n", "<a href=http://x>z", "<script></"])
def test_hostile_html_takes_time_in_proportion(piece: str) -> None:
    """The worst mail that is looked at takes about a second of a busy machine, not minutes."""
    source = (piece * (MAX_HTML // len(piece) + 1))[:MAX_HTML]
    started = time.process_time()
    html_to_text(source)
    pages(source)

    assert time.process_time() - started < 3


def test_a_huge_character_number_is_no_error() -> None:
    """`html.unescape` raises for a number of more than 4300 digits."""
    assert html_to_text(f"a&#{'9' * 6000};b&#x{'f' * 6000};c") == "a\ufffd;b\ufffdc"


def test_what_is_too_long_is_cut() -> None:
    """No more than `MAX_HTML` characters are looked at."""
    assert len(html_to_text("x" * (MAX_HTML + 5))) == MAX_HTML


def test_pages_end_between_words_and_lose_none() -> None:
    """No page is longer than a page, no word is cut, and together they are the text."""
    words = [f"word{number}" for number in range(5000)]
    found = pages(" ".join(words))

    assert len(found) == 5
    assert all(len(page) <= PAGE_LENGTH for page in found)
    assert " ".join(found).split() == words


def test_text_without_gaps_is_cut_at_the_page() -> None:
    """A text without blanks loses no character; a short one is one page, an empty one too."""
    assert "".join(pages("x" * 25_000)) == "x" * 25_000
    assert [len(page) for page in pages("x" * 25_000)] == [10_000, 10_000, 5_000]
    assert (pages("short"), pages("")) == (["short"], [""])
