"""HTML mail as text, and long text in pages."""

from __future__ import annotations

import pytest

from app.characters import seen
from app.toolkits.html_text import MAX_HTML, html_to_text
from app.toolkits.pages import PAGE_LENGTH, pages


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
    """Blocks become lines, paragraphs are separated, blanks are merged, and invisible content is removed."""
    assert html_to_text(source).text == text


# Every way to hide a word that we know of, by name, as HTML; the hidden word is `x`.
HIDDEN = {
    "display": "<div style='display: none'>x<div>x</div>x</div>",
    "display by a class": "<style>.h{display:none}</style><i class='a h'>x</i>",
    "display by an id": "<style>#h { display : none }</style><i id=h>x</i>",
    "display by a tag in a tag": "<style>div > p i.h {display:none}</style><div><p><i class=h>x</i></p></div>",
    "display by an attribute": "<style>i[data-a='1']{display:none}</style><i data-a=1>x</i>",
    "display by a sheet that comes later": "<i class=h>x</i><style>.h{display:none}</style>",
    "display in a media query": "<style>@media screen and (min-width: 300px){.h{display:none}}</style><i class=h>x</i>",
    "display by a selector that cannot be judged": "<style>i:nth-child(1){display:none}</style><i>x</i>",
    "display by a sibling": "<style>b + i{display:none}</style><b></b><i>x</i>",
    "display by a nested rule": "<style>div{color:red; & .h{display:none}}</style><div><i class=h>x</i></div>",
    "display though a later rule may show it": "<style>.h{display:none}:not(b){display:block}</style><i class=h>x</i>",
    "display, important": "<style>.h{display:none!important}</style><i class=h style='display:block'>x</i>",
    "display with an escape": r"<i style='d\69splay:n\6f ne'>x</i>",
    "display with a comment": "<i style='display:/* shown */none'>x</i>",
    "display by a variable": "<style>:root{--d:none}</style><i style='display:var(--d)'>x</i>",
    "visibility": "<i style='visibility:hidden'>x</i>",
    "collapse": "<i style='visibility: collapse'>x</i>",
    "Outlook's own": "<i style='mso-hide:all'>x</i>",
    "content-visibility": "<div style='content-visibility:hidden'>x</div>",
    "no size of type": "<span style='FONT-SIZE:0px'>x</span>",
    "tiny type": "<i style='font-size:1px'>x</i>",
    "tiny type, relative": "<i style='font-size:.05em'>x</i>",
    "tiny type in the shorthand": "<i style='font:0/0 serif'>x</i>",
    "tiny type that is computed": "<i style='font-size:calc(1px * 0)'>x</i>",
    "white on white": "<i style='color:#fff'>x</i>",
    "nearly white on white": "<i style='color:rgb(250, 250, 250)'>x</i>",
    "black on black": "<div style='background:#000'><i style='color:black'>x</i></div>",
    "the colour of a cell": "<table bgcolor=navy><tr><td><font color='#000080'>x</font></table>",
    "the colour of the page": "<body bgcolor=#222222 text=#222222>x</body><p style='color:red;background:#fff'>",
    "by hue": "<i style='color:hsl(0, 0%, 100%)'>x</i>",
    "white behind a picture": "<div style='background:url(a;b.png)'><i style='color:#fff'>x</i></div>",
    "no colour": "<i style='color:transparent'>x</i>",
    "a colour without weight": "<i style='color:rgba(0,0,0,0.01)'>x</i>",
    "a fill without colour": "<i style='-webkit-text-fill-color:transparent'>x</i>",
    "opacity": "<span style='color:red;opacity:0.0'>x</span>",
    "a little opacity": "<i style='opacity:.01'>x</i>",
    "opacity in opacity": "<div style='opacity:30%'><div style='opacity:.3'>x</div></div>",
    "a filter": "<i style='filter:opacity(0)'>x</i>",
    "no height": "<div style='max-height:0;overflow:hidden'>x</div>",
    "hardly any height": "<div style='height:1px;overflow:hidden'>x</div>",
    "no width": "<div style='width:0;overflow:hidden'>x</div>",
    "no height of a line": "<div style='line-height:0;overflow:hidden'>x</div>",
    "off the page": "<div style='position:absolute;left:-9999px'>x</div>",
    "above the page": "<div style='position:absolute;top:-99em'>x</div>",
    "off the page by inset": "<div style='position:fixed;inset:0 auto auto -5000px'>x</div>",
    "far to the right": "<div style='position:absolute;left:9999px'>x</div>",
    "by a margin": "<div style='margin-left:-9999px'>x</div>",
    "by an indent": "<p style='text-indent:-9999px'>x</p>",
    "by a shift": "<div style='transform:translateX(-9999px)'>x</div>",
    "by a scale": "<div style='transform:scale(0)'>x</div>",
    "by a turn": "<div style='transform:rotateY(90deg)'>x</div>",
    "letters on one another": "<i style='letter-spacing:-1em'>x</i>",
    "behind": "<div style='position:relative;z-index:-1'>x</div>",
    "clipped": "<div style='position:absolute;clip:rect(0,0,0,0)'>x</div>",
    "a clipped shape": "<div style='clip-path:inset(100%)'>x</div>",
    "masked": "<div style='-webkit-mask-image:linear-gradient(transparent, transparent)'>x</div>",
    "zoomed": "<div style='zoom:0'>x</div>",
    "closed details": "<details><b>x</b></details>",
    "a closed dialog": "<dialog>x</dialog>",
    "an attribute": "<i hidden>x</i>",
    "a popover": "<div popover>x</div>",
    "a template": "<template>x</template>",
    "a drawing": "<svg><text>x</text></svg>",
    "a cell": "<table><tr><td hidden>x<td></table>",
    "a picture's text": "<img alt='x' style='visibility:hidden'>",
    "formatting that goes on": "<p><font color=white></p><p>x</p></font>",
    "a wrongly nested end": "<b><div style='display:none'>x</b>x</div>",
    "an end tag that ends nothing": "<div style='display:none'><table><tr><td></div>x</table></div>",
    "the page's colour after its end": "<body bgcolor=white text=white></body>x<p style='color:red'>",
    "a value too long to judge": "<i style='transform:" + "translate(0) " * 50 + "scale(0)'>x</i>",
    "tag characters": "".join(chr(0xE0000 + ord(letter)) for letter in "obey"),
    "variation selectors": "".join(chr(0xE0100 + number) for number in b"obey"),
}


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN.keys())
def test_hidden_text_is_left_out_and_said_to_be(hidden: str) -> None:
    """Hidden text does not reach the model, which learns that there was some."""
    shown = html_to_text(f"<div>a{hidden}b</div>")

    assert shown.hid
    assert "x" not in shown.text
    assert "".join(seen(shown.text).split()) == "ab"


SHOWN = {
    "half a unit": "<b style='font-size:0.5em'>x</b>",
    "much opacity": "<b style='opacity:0.9'>x</b>",
    "type that grows again": "<div style='font-size:0'><b style='font-size:14px'>x</b></div>",
    "visible again": "<div style='visibility:hidden'><b style='visibility:visible'>x</b></div>",
    "white on blue": "<td style='background-color:#1a73e8'><a style='color:#fff' href=#>x</a>",
    "a link in white text on white": "<div style='color:#fff'><a href=#>x</a></div>",
    "shown by a stronger rule": "<style>#s{display:block}.s{display:none}</style><b id=s class=s>x</b>",
    "shown by its own style": "<style>b{display:none}</style><b style='display:inline'>x</b>",
    "hidden on paper": "<style>@media print{b{display:none}}</style><b>x</b>",
    "hidden on a telephone": "<style>@media (max-width:600px){b{display:none!important}}</style><b>x</b>",
    "hidden under the pointer": "<style>b:hover{display:none}</style><b>x</b>",
    "another class": "<style>.hid{display:none} p.h{display:none}</style><b class=h>x</b>",
    "the name of a class with a colon": r"<style>.sm\:b{display:none}</style><b class='sm b'>x</b>",
    "an open detail": "<details open>x</details>",
    "a summary": "<details><summary>x</summary></details>",
    "a cell without height": "<table><tr><td style='height:0'>x</td></tr></table>",
    "a paragraph after a hidden one": "<p style='display:none'><p>x",
    "a small negative margin": "<div style='margin:-10px auto 0'>x</div>",
    "in a comment for Outlook": "<!--[if !mso]><!-->x<!--<![endif]-->",
    "a hidden box that is empty": "<div style='display:none'>&nbsp;&zwnj;</div>x",
    "choices": "<select><option>one</select>x",
}


@pytest.mark.parametrize("source", SHOWN.values(), ids=SHOWN.keys())
def test_what_its_reader_sees_is_read(source: str) -> None:
    """Nothing that a mail program shows is left out or reported as hidden."""
    shown = html_to_text(source)

    assert shown.text.replace(" (#)", "").strip() == "x"
    assert shown.hid is False


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
    """A link's target follows its text if it says more; scripts are left out, and long targets show only their host."""
    assert html_to_text(source).text == text


def test_a_huge_character_number_is_no_error() -> None:
    """A huge character number becomes a replacement character, although `html.unescape` raises an error for it."""
    assert html_to_text(f"a&#{'9' * 6000};b&#x{'f' * 6000};c").text == "a\ufffd;b\ufffdc"


def test_what_is_too_long_is_cut() -> None:
    """Only the first `MAX_HTML` characters are read."""
    assert len(html_to_text("x" * (MAX_HTML + 5)).text) == MAX_HTML


def test_pages_end_between_words_and_lose_none() -> None:
    """No page exceeds its length, no word is cut, and the pages together are the text."""
    words = [f"word{number}" for number in range(5000)]
    found = pages(" ".join(words))

    assert len(found) == 5
    assert all(len(page) <= PAGE_LENGTH for page in found)
    assert " ".join(found).split() == words


def test_text_without_gaps_is_cut_at_the_page() -> None:
    """A text without blanks is cut at the page length without loss, and a short or empty text is one page."""
    assert "".join(pages("x" * 25_000)) == "x" * 25_000
    assert [len(page) for page in pages("x" * 25_000)] == [10_000, 10_000, 5_000]
    assert (pages("short"), pages("")) == (["short"], [""])


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("<style>.b .a{display:none}</style><p class=a>seen</p><div class=b><p class=a>not</p></div>", "seen"),
        (
            "<style>.a{display:var(--d)}</style><p class=a>seen</p><i style='--d:none'></i><p class=a>not</p>",
            "seen",
        ),
    ],
    ids=["by place", "by variable"],
)
def test_elements_that_are_alike_may_look_different(page: str, shown: str) -> None:
    """An element's place, and variables set before it, count as much as its own attributes."""
    found = html_to_text(page)

    assert found.text.strip() == shown
    assert found.hid
