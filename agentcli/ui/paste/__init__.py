"""What is pasted at the prompt: a long text folds to a label, a path becomes a mention.

A text of more than 30 lines, or 4,000 characters, would fill the screen, so the input shows `[pasted 412 lines]` in its place. In the
line editor's text the whole paste is one character, its mark, from a range that nobody types (the end of Unicode's last private
plane). So everything that edits text treats it as one thing, and nothing needs to be taught that: the cursor steps over it, Backspace
removes it, Undo and Ctrl-Y bring it back. A label that somebody types is just text. `Folds` knows what each mark stands for:

    text = folds.fold(pasted)        what to insert: the mark, or the text itself if it is short
    folds.whole(buffer.text)         what is sent: byte for byte what was pasted, but for line ends, which are all \\n

A text that comes back (from the history, from an editor, from the queue) is long again: `again()` folds it, each paste that it knows
as it was, and of any other long text all but the first line. The history keeps the whole text; from one run to the next that is up to
100,000 characters, and of what is longer the label. A paste in which a mark occurs is folded however short it is, so that no text is
taken for another; and so is one that mentions a file, because a text from anywhere must not attach what is here.

A paste that is nothing but the paths of files that are there, as terminals write them when files are dropped on them, becomes mentions
of those files (`attach.mention`). It has to look like a path (a slash, a `~`, or file://): a word that happens to be the name of a
file stays a word.

`fold` has the folds and `dropped` the paths. The others put them to work at prompt-toolkit's prompt, and import that when they are
called: `key` has the keys, `shown` what folds look like, `arriving` takes a long paste in from the terminal.
"""

from __future__ import annotations

from agentcli.ui.paste.arriving import quick_pastes
from agentcli.ui.paste.dropped import paths
from agentcli.ui.paste.fold import CHARACTERS, KEPT, LINES, Folds, kept
from agentcli.ui.paste.key import bindings, fold_recalled, in_editor
from agentcli.ui.paste.shown import marks

__all__ = ["CHARACTERS", "KEPT", "LINES", "Folds", "bindings", "fold_recalled", "in_editor", "kept", "marks", "paths", "quick_pastes"]
