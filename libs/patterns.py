"""Which strings match a regular expression? RE2: time linear in the string, whatever the pattern.

A match may be anywhere; `$` is the end of the text; `\\d`, `\\w`, `\\b` are ASCII. So says the contract of rules.
What a pattern costs otherwise is bounded: RE2 compiles it while it keeps all other threads waiting, holds it in
memory, and may need a step of its program for each byte of a string.
"""

from typing import Any

import re2

MAX_PATTERN = 100_000
"""Characters. Compiled in 40 ms at most; RE2 itself would take 400 ms for a million."""
MAX_MEMORY = 4 << 20
"""Bytes of a program and what it remembers while matching: at most some 65,000 instructions. re2 holds up to 128."""


def compile_pattern(pattern: str, *, ignore_case: bool = False) -> Any:
    """Compile a pattern; `search(text)` of what is returned says whether a string matches.

    Raises ValueError, in words for people, for what is no regular expression or a too large one. Groups are not
    captured: keeping track of a hundred thousand of them takes all memory there is.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"it has more than {MAX_PATTERN:,} characters")
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MAX_MEMORY
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise ValueError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from None


def weight(pattern: str, *, ignore_case: bool = False) -> int:
    """Return what a legal pattern weighs: its characters or its instructions, whichever are more."""
    return max(len(pattern), int(compile_pattern(pattern, ignore_case=ignore_case).programsize))
