"""Which version of the program is this?"""

from importlib.metadata import PackageNotFoundError, version

UNINSTALLED = "uninstalled"


def program_version() -> str:
    """Return the version, or "uninstalled" where the program runs from its folder, as in the image."""
    try:
        return version("cohort")
    except PackageNotFoundError:
        return UNINSTALLED
