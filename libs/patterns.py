"""Which strings match a regular expression? RE2: time linear in the string, whatever the pattern.

A match may be anywhere; `$` is the end of the text; `\\d`, `\\w`, `\\b` are ASCII. So says the contract of rules.
"""

from typing import Any

import re2


def compile_pattern(pattern: str, *, ignore_case: bool = False) -> Any:
    """Compile a pattern; `search(text)` of what is returned says whether a string matches.

    Raises ValueError, in words for people, for what is no regular expression or a too large one. A compiled
    one holds at most 8 MiB (RE2's own limit).
    """
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise ValueError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from None
