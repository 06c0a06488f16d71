"""The configuration file of Kuma's control plane (`kuma-cp run --config-file`), as the variables that say the same.

In: a YAML file with Kuma's keys, such as `store.postgres.dbName`. Out: `KumaFile`: the text of each variable that
means something here, and of each key that does not, the reason. Refuses what is no YAML mapping, and a key that
misspells one which decides who is let in.

A key and its variable are the same words: `dpServer.authn.dpProxy.type` is `KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from outrig.server.foreign import HONOURED, MODE, PREFIXES, decides_access, misspelt, reason_of
from outrig.server.settings import as_written, read_mapping, unknown_proof


def _words(text: str) -> str:
    """A key or variable without what separates its words."""
    return text.replace("_", "").replace(".", "").lower()


def _spelt(beginning: str) -> str:
    return _words(_bare(beginning))


def _bare(variable: str) -> str:
    return next((variable.removeprefix(prefix) for prefix in PREFIXES if variable.startswith(prefix)), variable)


_VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {_spelt(name): name for name in (*HONOURED, MODE)}
    | {"xdsserverdataplanederegistrationdelay": "KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY"}
)
"""The words of a key -> the variable that says the same."""


@dataclass(frozen=True, slots=True)
class KumaFile:
    """What a file says. `places`: of each variable, where its text is written; `ignored`: (key, reason)."""

    variables: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[tuple[str, str], ...] = ()


def read_kuma_file(file: Path) -> KumaFile:
    """What a file says. Raises BadSetting."""
    written = list(_leaves(read_mapping(file, "a YAML file with the keys of Kuma's control plane")))
    for key, _ in written:
        meant = misspelt(_words(key), _spelt) if _words(key) not in _VARIABLES else ""
        if meant and decides_access(meant):
            raise unknown_proof(f"{file}: {key}", f"the key of {meant}")
    known = {_VARIABLES[_words(key)]: (key, value) for key, value in written if _words(key) in _VARIABLES}
    return KumaFile(
        {name: as_written(value, f"{file}: {key}", _setting(name)) for name, (key, value) in known.items()},
        {name: f"{file}: {key}" for name, (key, _) in known.items()},
        tuple((key, reason_of(_words(key), _spelt)) for key, _ in written if _words(key) not in _VARIABLES),
    )


def _setting(variable: str) -> str:
    return HONOURED[variable][0] if variable in HONOURED else ""


def _leaves(mapping: Mapping[Any, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each key whose value is no mapping, by its whole path. One that says nothing is passed over."""
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        elif value not in (None, []):
            yield f"{path}{name}", value
