"""Nothing grows too long to be read at once."""

from pathlib import Path

from scripts import sizes


def test_no_function_and_no_file_is_too_long() -> None:
    assert sizes.sources(*sizes.HELD)
    assert sizes.too_long() == []


def test_a_function_counts_from_its_def_to_its_last_line_with_its_docstring(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        'import os\n\n\n@decorated\ndef outer():\n    """Says."""\n\n    async def inner():\n        pass\n'
    )
    assert [(size.lines, size.place.split()[-1]) for size in sizes.functions([path])] == [(5, "outer"), (2, "inner")]
    assert [size.lines for size in sizes.files([path])] == [9]
