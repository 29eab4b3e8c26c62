"""What time it is. Free: it reads nothing of the user's and changes nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from agentcli.core.tool import tool

__all__ = ["clock"]

# Not strftime's %A: that would speak the language of the machine, and the model expects English.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Zone = Annotated[str, Meta(description="An IANA time zone such as Europe/Berlin. Without it: the zone of the user's machine.")]


@tool
def clock(timezone: Zone | None = None) -> str:
    """The current date, time and day of the week, here or in another time zone."""
    now = datetime.now().astimezone() if timezone is None else _now_in(timezone)
    return f"{now.isoformat(timespec='seconds')} {_DAYS[now.weekday()]}"


def _now_in(timezone: str) -> datetime:
    from zoneinfo import ZoneInfo

    try:
        return datetime.now(ZoneInfo(timezone))
    except (KeyError, ValueError, OSError, RecursionError):  # not known, no name, a folder, an endless one
        raise ValueError(f"there is no time zone {timezone[:60]!r}{_nearest(timezone)}") from None


def _nearest(timezone: str) -> str:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    names = {name.lower(): name for name in available_timezones()}
    wanted = timezone[:60].strip().lower().replace(" ", "_")
    cities = [name for name in sorted(names) if name.rpartition("/")[2] == wanted.rpartition("/")[2]]
    near = cities[:3] or get_close_matches(wanted, names, 3)
    return f"; the nearest: {', '.join(names[name] for name in near)}" if near else "; names are like Europe/Berlin or UTC"
