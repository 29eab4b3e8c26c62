"""httpx, without what it loads for its own command line.

`import httpx` also imports rich, click and pygments, for a command that this program never runs: 70 ms became 41 ms without
(Python 3.11). httpx takes it as "not installed" when its module for that cannot be imported, so for the length of the import it
cannot. This is the only file that imports httpx; the files beside it that need it take it from here, and no other room touches it.
"""

from __future__ import annotations

import sys

if "httpx" in sys.modules:
    import httpx
else:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    try:
        import httpx
    finally:
        sys.modules.pop("httpx._main", None)

__all__ = ["httpx"]
