"""`python -m tests.pictures [--png FOLDER] [NAME ...]`: make the pictures of the documentation."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from tests.pictures import FOLDER, SCENES, lasting, make


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(SCENES)}")
    parser.add_argument("--png", metavar="FOLDER", type=Path, help="draw them there as PNG, too")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(SCENES):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    FOLDER.mkdir(exist_ok=True)
    for name in asked.names or SCENES:
        path, picture = FOLDER / f"{name}.svg", make(name)
        if not path.exists() or lasting(path.read_text(encoding="utf-8")) != lasting(picture):
            path.write_text(picture, encoding="utf-8")
            print(f"drawn anew: {path.name}")
        if asked.png:
            asked.png.mkdir(parents=True, exist_ok=True)
            subprocess.run(["rsvg-convert", "-z", "1.5", "-o", asked.png / f"{name}.png", path], check=True)
    if not asked.names:
        for path in FOLDER.glob("*.svg"):
            if path.stem not in SCENES:
                path.unlink()
                print(f"gone: {path.name}")


if __name__ == "__main__":
    main()
