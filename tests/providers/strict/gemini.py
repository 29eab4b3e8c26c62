"""Rules of generateContent."""

from __future__ import annotations

from collections.abc import Iterator

from tests.providers.strict.question import Question
from tests.providers.vendors import Flavour

__all__ = [
    "first_calls_are_signed",
    "ids_come_back",
    "images_are_of_a_known_kind",
    "responses_have_the_names_of_the_calls",
    "signatures_are_the_models_own",
]

_UNSIGNED = "skip_thought_signature_validator"
_IMAGES = ("png", "jpeg", "webp", "heic", "heif")


def _older(flavour: Flavour) -> bool:
    return "gemini-2" in flavour.model


def first_calls_are_signed(question: Question) -> Iterator[str]:
    """From Gemini 3 on the first call of each answer is signed, with the model's own signature if it made the call."""
    for place, turn in question.answers:
        for number, piece in enumerate(turn.of("call")):
            signature = piece.raw.get("thoughtSignature")
            made = [said for said in question.ours(turn) if said.calls and piece.value == said.calls[0][2]]
            own = made[0] if made and not number else None
            if own and signature != own.kept:
                yield f"turn {place}: {signature} is not the signature of answer {own.number}"
            elif not number and not signature and not _older(question.flavour):
                yield f"turn {place}: not signed"
            elif number and signature:
                yield f"turn {place}: a second signature"


def signatures_are_the_models_own(question: Question) -> Iterator[str]:
    """A signature is one that this model gave."""
    own = {said.kept for said in question.before.values() if said.flavour == question.flavour}
    own |= set() if _older(question.flavour) else {_UNSIGNED}
    for place, turn in question.answers:
        for piece in turn.pieces:
            if (signature := piece.raw.get("thoughtSignature")) and signature not in own:
                yield f"turn {place}: {signature}"


def ids_come_back(question: Question) -> Iterator[str]:
    """A call that this model made has the id that it had, or none if it had none."""
    for place, turn in question.answers:
        for piece in turn.of("call"):
            known = {name or None for said in question.ours(turn) for name, _, arguments in said.calls if arguments == piece.value}
            if known and piece.id not in known:
                yield f"turn {place}: {piece.id} is not {known}"


def responses_have_the_names_of_the_calls(question: Question) -> Iterator[str]:
    """As many responses as calls, with their names and ids, in the same order."""
    for before, turn in zip(question.turns, question.turns[1:], strict=False):
        called = [(piece.name, piece.id) for piece in before.of("call")]
        answered = [(piece.name, piece.id) for piece in turn.of("result")]
        if called != answered:
            yield f"{called} is not {answered}"


def images_are_of_a_known_kind(question: Question) -> Iterator[str]:
    """Images are PNG, JPEG, WebP, HEIC or HEIF."""
    for place, turn in enumerate(question.turns):
        kinds = [piece.raw["inlineData"]["mimeType"] for piece in turn.of("media")]
        yield from (f"turn {place}: {kind}" for kind in kinds if kind.startswith("image/") and kind[6:] not in _IMAGES)
