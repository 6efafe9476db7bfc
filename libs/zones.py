"""What do clocks show in a time zone? What the tzdata package says, so that days are the same on every machine.

Python would ask the machine's own files first, which differ by age and by what their makers left out.
"""

import zoneinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["ZoneInfo", "ZoneInfoNotFoundError"]

zoneinfo.reset_tzpath(())
