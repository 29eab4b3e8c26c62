"""A real model for llama.cpp in half a megabyte, which says what it is told to say.

It is a Llama of one layer whose attention and feed-forward weights are all zero. What is left is: the last token decides the next.
Its embedding is a vector with a single one in it, and each row of the output matrix has a one where a token comes before another; so
an answer is a list of tokens, in which no token stands twice, and the same each time. The chat template ends with the token
`<|answer|>`, or, if the last message is a tool's, with `<|result|>`: that is where answers begin.

The file is GGUF, version 3: magic, version, counts; then keys and values; then names and places of tensors; then, aligned to 32 bytes,
the tensors.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

__all__ = ["TEMPLATE", "TOOLS", "tiny_model"]

SIZE = 320  # tokens, and the width of the model

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n{% endfor %}"
    "{% if messages[-1].role == 'tool' %}<|result|>{% else %}<|answer|>{% endif %}"
)
TOOLS = (
    "{% if tools %}<|system|># Tools\nYou may call one or more functions. Here they are, within <tools></tools> XML tags:\n<tools>"
    "{% for tool in tools %}\n{{ tool | tojson }}{% endfor %}\n</tools>\nFor each call say a JSON object within "
    "<tool_call></tool_call> XML tags:"
    '\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>\n{% endif %}'
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}\n{% endfor %}'
    "{% if messages[-1].role == 'tool' %}<|result|>{% else %}<|answer|>{% endif %}"
)

_SPECIAL = ("<|end|>", "<|answer|>", "<|result|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6


def tiny_model(
    path: Path,
    answer: Sequence[str] = ("Red", ",", " green", " and", " blue", "."),
    result: Sequence[str] = (),
    *,
    endless: bool = False,
    template: str | None = TEMPLATE,
    context: int = 8192,
) -> Path:
    """Write the model. `result` is what it says after a tool's result; an `endless` one says the answer again and again."""
    words = list(dict.fromkeys((*answer, *result)))
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    tokens = ["<unk>", *_SPECIAL, *bytes_, *(word.replace(" ", "\u2581") for word in words)]
    kinds = [_UNKNOWN, *[_CONTROL] * len(_SPECIAL), *[_BYTE] * 256, *[_NORMAL] * len(words)]
    spare = range(SIZE - len(tokens))
    tokens += [f"<spare{number}>" for number in spare]
    kinds += [_CONTROL] * len(spare)
    place = {word: tokens.index(word.replace(" ", "\u2581")) for word in words}
    place |= {word: tokens.index(word) for word in _SPECIAL}
    follows: list[tuple[int, int]] = []
    for begin, said in (("<|answer|>", answer), ("<|result|>", result)):
        chain = [begin, *said]
        follows += [
            (place[one], place[other]) for one, other in zip(chain, [*said, said[0] if endless and said else "<|end|>"], strict=True)
        ]
    keys = [
        _text("general.architecture", "llama"),
        _text("general.name", "Tiny"),
        _number("llama.context_length", context),
        _number("llama.embedding_length", SIZE),
        _number("llama.block_count", 1),
        _number("llama.feed_forward_length", 32),
        _number("llama.attention.head_count", 10),
        _number("llama.attention.head_count_kv", 1),
        _key("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
        _text("tokenizer.ggml.model", "llama"),
        _list("tokenizer.ggml.tokens", 8, [_string(token) for token in tokens]),
        _list("tokenizer.ggml.scores", 6, [struct.pack("<f", -float(number)) for number in range(SIZE)]),
        _list("tokenizer.ggml.token_type", 5, [struct.pack("<i", kind) for kind in kinds]),
        _number("tokenizer.ggml.bos_token_id", place["<|end|>"]),
        _number("tokenizer.ggml.eos_token_id", place["<|end|>"]),
        _key("tokenizer.ggml.add_bos_token", 7, b"\0"),
        _key("tokenizer.ggml.add_space_prefix", 7, b"\0"),
    ]
    if template is not None:
        keys.append(_text("tokenizer.chat_template", template))
    ones = b"".join([struct.pack("<f", 1.0)] * SIZE)
    tensors = {
        "token_embd.weight": (_matrix([(number, number) for number in range(SIZE)]), (SIZE, SIZE), 1),
        "output.weight": (_matrix(follows, 2.0), (SIZE, SIZE), 1),
        "output_norm.weight": (ones, (SIZE,), 0),
        "blk.0.attn_norm.weight": (ones, (SIZE,), 0),
        "blk.0.ffn_norm.weight": (ones, (SIZE,), 0),
    }
    for name, shape in {
        "attn_q": (SIZE, SIZE), "attn_k": (SIZE, 32), "attn_v": (SIZE, 32), "attn_output": (SIZE, SIZE),
        "ffn_gate": (SIZE, 32), "ffn_up": (SIZE, 32), "ffn_down": (32, SIZE),
    }.items():  # fmt: skip
        tensors[f"blk.0.{name}.weight"] = (bytes(2 * shape[0] * shape[1]), shape, 1)
    infos, data = [], bytearray()
    for name, (weights, dimensions, kind) in tensors.items():
        sizes = b"".join(struct.pack("<Q", size) for size in dimensions)
        infos.append(_string(name) + struct.pack("<I", len(dimensions)) + sizes + struct.pack("<IQ", kind, len(data)))
        data += weights + bytes(-len(weights) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(keys)) + b"".join(keys) + b"".join(infos)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def _matrix(ones: Sequence[tuple[int, int]], value: float = 1.0) -> bytes:
    """Half-precision numbers, zero but for the places (column, row)."""
    matrix = bytearray(2 * SIZE * SIZE)
    for column, row in ones:
        struct.pack_into("<e", matrix, 2 * (row * SIZE + column), value)
    return bytes(matrix)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _string(name) + struct.pack("<I", kind) + value


def _text(name: str, value: str) -> bytes:
    return _key(name, 8, _string(value))


def _number(name: str, value: int) -> bytes:
    return _key(name, 4, struct.pack("<I", value))


def _list(name: str, kind: int, values: list[bytes]) -> bytes:
    return _key(name, 9, struct.pack("<IQ", kind, len(values)) + b"".join(values))
