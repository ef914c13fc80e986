"""Text from outside as it may be shown: names, messages that quote them, addresses, facts of files.

One function for each place that text goes to; each takes any value. What is shown stays one line of text there,
whatever it holds: no markup, no control characters, no direction marks, and no credentials of an address.
"""

from __future__ import annotations

import re
from html import escape

# A secret key may hold slashes, so that all up to an @ behind a colon counts, unless the colon is that of a port.
ADDRESS = re.compile(
    r"(?P<protocol>[a-z][a-z0-9+.-]*://)(?:(?P<user>[^\s/?#@]*|[^\s/?#@:]*:(?!\d+/)[^\s?#@]*)@)?"
    r"(?P<place>[^\s?#'\"<>()]*)(?:[?#](?P<query>[^\s'\"<>()]*))?",
    re.IGNORECASE,
)
# Controls, half surrogate pairs, and what turns the direction of the text around it.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKS = re.compile(r"[\\`*\[\]$~<>|#]|(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word marks nothing
_WOVEN = re.compile(r"(?<=[:@])(?=\S)|(?<=\bwww)(?=\.)|^(?=[-+=>]|\d+[.)])", re.IGNORECASE)
_JOINER = "\N{WORD JOINER}"  # no width; keeps apart what Streamlit reads as an icon, a colour or a link


def redact(text: str) -> str:
    """A text in which no address shows a user, a password, a query or a fragment."""
    return ADDRESS.sub(r"\g<protocol>\g<place>", text)


def terminal(value: object) -> str:
    """For a terminal, which obeys control characters; lines stay lines."""
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", redact(str(value)))


def html(value: object) -> str:
    """For the text of an HTML page, or an attribute in quotes."""
    return escape(terminal(value))


def markdown(value: object) -> str:
    """For Markdown as Streamlit reads it."""
    one_line = " ".join(terminal(value).split())
    return _MARKS.sub(r"\\\g<0>", _WOVEN.sub(_JOINER, one_line))


def counted(number: int, thing: str) -> str:
    """ "1 signal", "2 signals": how many there are of something."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
