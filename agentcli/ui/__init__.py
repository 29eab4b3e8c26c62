"""The only layer that prints: the chat, `ask`, and what a person sees of a turn.

`render`, `plain` and `jsonl` show the same events in three ways: a terminal that can redraw, one that only appends, and a program
that reads. `blocks`, `markdown` and `code` turn an answer into lines while it is still arriving; `sanitise` stands before every write
of text that is not ours.
"""
