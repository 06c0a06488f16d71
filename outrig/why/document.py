"""An explanation as a JSON document, and back: what the API answers and `outrig why -o json` prints."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from outrig.why.explanation import Ending, Explanation, Part, Step, Verdict

API_VERSION: Final = "outrig.dev/v1"
KIND: Final = "Explanation"


class NoExplanation(Exception):
    """A document that is no explanation."""


def document_of(explanation: Explanation) -> dict[str, Any]:
    """The document; fields without a value are left out."""
    steps = [
        {"step": number, **{name: value for name, value in asdict(step).items() if value}}
        for number, step in enumerate(explanation.steps, 1)
    ]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "source": explanation.source,
        "caller": explanation.caller,
        "target": explanation.target,
        "answered": explanation.answered,
        "ending": explanation.ending,
        "summary": explanation.summary,
        "steps": steps,
    }


def explanation_of(document: Any) -> Explanation:
    """The explanation in a document. Raises NoExplanation."""
    try:
        return Explanation(
            source=document["source"],
            caller=document["caller"],
            target=document["target"],
            steps=tuple(_step(step) for step in document["steps"]),
            ending=Ending(document["ending"]),
            summary=document["summary"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NoExplanation(repr(error)) from error


def _step(step: Mapping[str, Any]) -> Step:
    texts = {name: str(step.get(name, "")) for name in ("envoy", "resource", "do")}
    notes = tuple(map(str, step.get("notes", ())))
    return Step(Part(step["part"]), Verdict(step["verdict"]), str(step["says"]), notes=notes, **texts)
