"""What a conversation is, and how an agent carries it on.

Read in this order: message, document, thread, event, provider, stream, tool, agent. Standard library and msgspec only: no screen, no
disk, no network. Everything that touches the world is handed in: a `Provider` that speaks to a model, `Tool`s that do things, and an
`approve` callback that asks a person.
"""
