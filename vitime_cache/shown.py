"""Makes external text safe to show: names, messages that quote them, addresses, facts from files.

There is one function for each kind of output; each takes any value. The text becomes one plain line: no markup, no
control characters, no direction marks, and no credentials from an address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

# A secret key may contain slashes, so everything between a colon and an @ counts, unless the colon belongs to a port.
ADDRESS = re.compile(
    r"(?P<protocol>[a-z][a-z0-9+.-]*://)(?:(?P<user>[^\s/?#@]*|[^\s/?#@:]*:(?!\d+/)[^\s?#@]*)@)?"
    r"(?P<place>[^\s?#'\"<>()]*)(?:[?#](?P<query>[^\s'\"<>()]*))?",
    re.IGNORECASE,
)
# Control characters, half surrogate pairs, and characters that change the direction of text.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKS = re.compile(r"[\\`*\[\]$~<>|#]|(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word marks nothing
_WOVEN = re.compile(r"(?<=[:@])(?=\S)|(?<=\bwww)(?=\.)|^(?=[-+=>]|\d+[.)])", re.IGNORECASE)
_JOINER = "\N{WORD JOINER}"  # no width; breaks up what Streamlit would read as an icon, a colour or a link


def redact(text: str) -> str:
    """Remove user, password, query and fragment from all addresses in a text."""
    return ADDRESS.sub(r"\g<protocol>\g<place>", text)


def terminal(value: object) -> str:
    """Make text safe for a terminal: control characters are replaced, lines are kept."""
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", redact(str(value)))


def html(value: object) -> str:
    """Escape text for an HTML page or a quoted attribute."""
    return escape(terminal(value))


def markdown(value: object) -> str:
    """Escape text for Streamlit's Markdown."""
    one_line = " ".join(terminal(value).split())
    return _MARKS.sub(r"\\\g<0>", _WOVEN.sub(_JOINER, one_line))


def counted(number: int, thing: str) -> str:
    """A count with its noun, such as "1 signal" or "2 signals"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """Words in a sentence: "one", "one and two", "one, two and three"."""
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), *words[-1:]])
