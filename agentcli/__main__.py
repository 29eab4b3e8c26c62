"""`agentcli` and `python -m agentcli`. `--version` is answered here, before anything is imported."""

from __future__ import annotations

import sys


def main() -> None:
    if sys.argv[1:] in (["--version"], ["-V"]):
        from agentcli import __version__

        try:
            sys.stdout.write(f"agentcli {__version__}\n")
            sys.stdout.flush()
        except (OSError, AttributeError):  # AttributeError: stdout is None, as it was closed from the start
            pass  # the long way says what is wrong
        else:
            return
    try:
        from agentcli.cli import run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
