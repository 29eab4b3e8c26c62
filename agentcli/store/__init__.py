"""Threads on disk.

Read in this order: disk (how a file is replaced so that it is never half written), lock (who may write), blobs, journal (the turn in
flight), index and search (many threads at once), threads (all of it as one `Store`), repair (what to do with what cannot be read).
docs/concepts/threads-on-disk.md says why it is so.
"""
