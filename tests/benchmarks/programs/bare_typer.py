"""The floor of `--help`: a bare Typer program, with plain help."""

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def hello(name: str) -> None:
    """Say hello."""
    print(f"Hello, {name}!")


app()
