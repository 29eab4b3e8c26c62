"""The floor of an answer: what one would write with httpx in fifteen lines. Arguments: base URL, model."""

import json
import sys

import httpx

url, model = sys.argv[1:]
body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
with httpx.stream("POST", f"{url}/chat/completions", json=body, timeout=60) as response:
    response.raise_for_status()
    for line in response.iter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            for choice in json.loads(line[6:])["choices"]:
                print(choice["delta"].get("content", ""), end="", flush=True)
print()
