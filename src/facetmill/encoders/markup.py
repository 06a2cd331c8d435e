"""HTML in product texts: what a reader sees of it.

Comments, scripts, styles and the tags of HTML's own elements are no text. Tags inside a line (`<b>`) leave nothing, the
others (`<br>`, `<p>`, `<img src="red.jpg">`) a space. A character reference (`&amp;`, `&nbsp;`, `&#39;`) is the
character that it names. What only looks like markup stays text: `<XL>` and `<3` are no elements, `AT&T;` names no
character. A tag that a shortened text broke off (`... <img src="red`) is none either.
"""

from __future__ import annotations

import re
from html import unescape
from html.entities import html5

from facetmill.encoders.view import View, ViewWriter

_IN_LINE = (
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub"
    "|sup|time|tt|u|var|wbr"
)
_OTHERS = (
    "address|area|article|aside|audio|base|blockquote|body|br|button|canvas|caption|center|col|colgroup|dd|details|dir"
    "|div|dl|dt|embed|fieldset|figcaption|figure|footer|form|frame|frameset|h1|h2|h3|h4|h5|h6|head|header|hr|html"
    "|iframe|img|input|label|legend|li|link|main|map|meta|nav|noscript|object|ol|optgroup|option|p|param|picture|pre"
    "|script|section|select|source|style|summary|svg|table|tbody|td|template|textarea|tfoot|th|thead|title|tr|track|ul"
    "|video"
)
_MARKUP = re.compile(
    rf"""
      <!--.*?-->
    | <(?P<unread>script|style)\b[^>]*>.*?</(?P=unread)\s*>
    | <!doctype\b[^>]*>
    | </?(?:(?P<in_line>{_IN_LINE})|{_OTHERS})(?=[\s/>])(?:[^<>"']|"[^"]*"|'[^']*')*+>
    | <(?:{_IN_LINE}|{_OTHERS})\s[^<>]*=[^<>]*\Z
    | &(?P<reference>\#[0-9]{{1,7}}|\#x[0-9a-f]{{1,6}}|[a-z][a-z0-9]{{1,31}});
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


def seen(text: str) -> View | None:
    """`text` as a reader of the page sees it; None where it holds no markup."""
    if "<" not in text and "&" not in text:
        return None
    writer = ViewWriter()
    at = 0
    for match in _MARKUP.finditer(text):
        reference = match["reference"]
        if reference and not reference.startswith("#") and f"{reference};" not in html5:
            continue
        start, end = match.span()
        writer.copy(text[at:start], at)
        if reference:
            writer.unit(unescape(match.group()), start, end)
        elif not match["in_line"]:
            writer.unit(" ", start, end)
        at = end
    if at == 0:
        return None
    writer.copy(text[at:], at)
    return writer.view(len(text))
