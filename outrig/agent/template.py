"""Fills in a template of a Dataplane: Mustache, as kuma-dp takes it.

In: the text and its variables; `a.b=v` is the variable `b` of `a`. Out: the text, nothing in it escaped. Refuses
(`InvalidConfiguration`) a variable that nobody gave, one that only holds others, a section that stays open, and
partials. Source: mustache(5).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from outrig.agent.problems import InvalidConfiguration
from outrig.errors import did_you_mean

FLAG: Final = "--dataplane-var"


def fill(source: str, template: str, variables: Mapping[str, str], *, flag: str = FLAG) -> str:
    """The text with its variables filled in. In errors `source` names the template, `flag` how a variable is given.

    Raises InvalidConfiguration.
    """
    if "{{" not in template:
        return template
    from pystache import Renderer  # only where there is something to fill in
    from pystache.common import TemplateNotFoundError
    from pystache.context import KeyNotFoundError

    def refuse(held: object) -> NoReturn:
        """Anything but a text is an object of variables."""
        inside = ", ".join(held) if isinstance(held, Mapping) else ""
        raise InvalidConfiguration(source, f"a tag names no variable, but what holds {inside}", "write NAME.VARIABLE")

    renderer = Renderer(escape=str, missing_tags="strict", partials={})
    renderer.str_coerce = refuse
    try:
        return str(renderer.render(_parsed(source, template), nested(variables, flag=flag)))
    except KeyNotFoundError as error:
        raise _unknown(source, error.key, variables, flag=flag) from None
    except TemplateNotFoundError as error:
        raise InvalidConfiguration(source, f"cannot be filled in: {error}") from None
    except RecursionError:
        raise InvalidConfiguration(source, "cannot be filled in: its sections are nested too deep") from None


def _parsed(source: str, template: str) -> Any:
    """The template taken apart. Raises InvalidConfiguration."""
    from pystache.parser import ParsingError, parse

    try:
        return parse(template, raise_on_mismatch=True)
    except ParsingError as error:
        problem = f"cannot be filled in: {error}"
        if error.info.tag_type != "/":
            line = template.count("\n", 0, error.info.position - 1) + 1
            problem = f"cannot be filled in: the section that line {line} opens is never closed"
        raise InvalidConfiguration(source, problem) from None
    except IndexError:  # of the two delimiters that a tag sets
        raise InvalidConfiguration(source, "cannot be filled in: {{= =}} sets two delimiters") from None


def read_variables(texts: Iterable[str]) -> dict[str, str]:
    """Variables as the command line has them, the last of a name counts. Raises InvalidConfiguration.

    One text may hold several, as in Kuma: `A=1,B=2`. A lone value may have commas.
    """
    single = (part for text in texts for part in (text.split(",") if text.count("=") > 1 else [text]))
    return dict(read_variable(part) for part in single)


def read_variable(text: str, *, flag: str = FLAG) -> tuple[str, str]:
    """Name and value of `NAME=VALUE`. Raises InvalidConfiguration."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidConfiguration(flag, f"expected NAME=VALUE, got {text!r}")
    return name, value


def nested(variables: Mapping[str, str], *, flag: str = FLAG) -> dict[str, Any]:
    """Variables whose names have dots, as objects within objects. Raises InvalidConfiguration."""
    filled: dict[str, Any] = {}
    for name, value in variables.items():
        *path, last = name.split(".")
        at = filled
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise InvalidConfiguration(f"{flag} {name}", f"{part!r} is a value of its own already")
        if last in at:
            raise InvalidConfiguration(f"{flag} {name}", "there are further variables below it")
        at[last] = value
    return filled


def _unknown(source: str, key: str, variables: Mapping[str, str], *, flag: str) -> InvalidConfiguration:
    hint = did_you_mean(key, variables) or f"give it with {flag} {key}=VALUE"
    return InvalidConfiguration(source, f"nobody gave a value for {{{{ {key} }}}}", hint)
