"""`outrig cp`: run the control plane, show its settings."""

import asyncio
import os
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from outrig.errors import OutrigError
from outrig.server.settings import PREFIX, Settings, as_text, load_settings

app = typer.Typer(no_args_is_help=True)

File = Annotated[Path | None, typer.Option("--config", help="A YAML file of settings.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where it keeps all it has [OUTRIG_DATA_DIR].")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="One setting; repeatable.")]


class BadFlag(OutrigError):
    """A `--set` that is not NAME=VALUE."""

    code = "OUT002"


@app.command()
def run(data_dir: DataDir = None, config: File = None, set_: Set = None) -> None:
    """Run the control plane until SIGTERM or Ctrl-C."""
    from outrig.server.run import run as run_control_plane

    settings = _settings(data_dir, config, set_)
    asyncio.run(run_control_plane(settings))


@app.command("settings")
def show(data_dir: DataDir = None, config: File = None, set_: Set = None) -> None:
    """Print every setting with the value it would have."""
    settings = _settings(data_dir, config, set_)
    for setting in fields(Settings):
        typer.echo(f"{PREFIX}{setting.name.upper()}={as_text(getattr(settings, setting.name))}")


def _settings(data_dir: Path | None, config: Path | None, pairs: list[str] | None) -> Settings:
    flags = dict(_pair(text) for text in pairs or [])
    if data_dir is not None:
        flags["data_dir"] = str(data_dir)
    return load_settings(file=config, environment=os.environ, flags=flags)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise BadFlag("--set", f"{text!r} has no `=`", "write --set NAME=VALUE")
    return name, value
