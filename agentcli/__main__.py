"""`agentcli` and `python -m agentcli`. `--version` is answered here, before anything is imported."""

from __future__ import annotations

import sys


def main() -> None:
    if sys.argv[1:] in (["--version"], ["-V"]):
        from agentcli import __version__

        print(f"agentcli {__version__}")
        return
    try:
        from agentcli.cli import run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
