"""Threads on disk.

Read in this order: disk (how a file is replaced so that it is never half written), lock (who may write), blobs, journal and replay
(the turn in flight), folder (the files of one thread), index and search (many threads at once), threads (all of it as one `Store`),
repair (what to do with what cannot be read). Beside them: export, page, import_ and wording (a thread for other eyes), and outputs
(what is too long for a thread). docs/concepts/threads-on-disk.md says why it is so.
"""
