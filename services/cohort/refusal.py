"""How is a part of a rule refused? By the path of its field, in the JSON names that people type.

Invalid (INVALID_RULE)      the rule can never mean anything
Invalid (RULE_TOO_LARGE)    past the limits on nodes and depth
NotBuilt (NOT_BUILT_YET)    a part of the contract that this version does not evaluate
"""

from typing import NoReturn

from libs.errors import Invalid, NotBuilt


def bad(path: str, message: str) -> NoReturn:
    """Refuse the field at a path."""
    raise Invalid("INVALID_RULE", f"{path}: {message}", path)


def too_large(path: str, message: str) -> NoReturn:
    """Refuse the node at a path, with which the rule is past a limit."""
    raise Invalid("RULE_TOO_LARGE", f"{path}: {message}", path)


def not_built(path: str, what: str) -> NoReturn:
    """Refuse a part of the contract that this version does not evaluate."""
    raise NotBuilt("NOT_BUILT_YET", f"{path}: this version of Cohort does not evaluate `{what}` yet", path)
