"""The floor of a list: look at every file of a folder. With a second argument, the floor of a search: read it in each."""

import os
import sys

words = sys.argv[2].encode() if len(sys.argv) > 2 else None
count = 0
with os.scandir(sys.argv[1]) as items:
    for item in items:
        if words is None:
            count += item.stat().st_size > 0
        else:
            with open(item.path, "rb", buffering=0) as file:
                count += words in file.read().lower()
print(count)
