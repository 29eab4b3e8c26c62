"""Run a program and print the peak of its resident memory in bytes.

A child starts with the peak of whoever started it, so it is this small program that does.
"""

import os
import sys

child = os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
assert status == 0, status
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
