"""`agentcli` and `python -m agentcli`. `--version` is answered here, before anything is imported, and so is Tab in a shell."""

from __future__ import annotations

import os
import sys


def main() -> None:
    if "_AGENTCLI_COMPLETE" in os.environ:
        from agentcli.cli.complete import answer

        answer()
    if sys.argv[1:] in (["--version"], ["-V"]):
        from agentcli import __version__

        try:
            sys.stdout.write(f"agentcli {__version__}\n")
            sys.stdout.flush()
        except (OSError, AttributeError):  # AttributeError: stdout is None, as it was closed from the start
            pass  # the long way says what is wrong
        else:
            return
    import signal

    signal.signal(signal.SIGINT, _leave)
    from agentcli.cli import run

    run()


def _leave(number: int, frame: object) -> None:
    """Ctrl-C, until a turn takes it over. An exception would not do: one that is raised while Python imports can be lost."""
    os._exit(130)


if __name__ == "__main__":
    main()
