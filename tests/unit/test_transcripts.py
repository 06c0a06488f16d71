"""Transcripts are read as written, and what does not match them fails."""

import pytest

from tests.e2e.kubectl.transcripts import Command, File, read

PAGE = """# A page

```yaml
# web.yaml
kind: Service
```

```console since=1.31
$ kubectl get svc
NAME   AGE
web    <age>
$ cat <<END
> x
> END
```
"""


def test_a_page_has_files_and_commands_in_order() -> None:
    file, first, second = read(PAGE)
    assert file == File("web.yaml", "# web.yaml\nkind: Service\n")
    assert first == Command("kubectl get svc", ("NAME AGE", "web <age>"), since=31)
    assert second == Command("cat <<END\nx\nEND", (), since=31)


@pytest.mark.parametrize(("printed", "output", "fits"), [
    ("a  b", "a      b\n\n", True), ("a b", "ab", False), ("a", "a\nb", False), ("a\n...", "a\nb\nc", True),
    ("...\nc", "a\nb\nc", True), ("...", "", True), ("a...c", "abc", True), ("a...c", "a\nc", False),
    ("  a", "a", False), ("age <age>", "age 2d3h", True), ("age <age>", "age soon", False), ("<none>", "<none>", True),
    ("a.c", "abc", False), ("green", "\x1b[0;32mgreen\x1b[0m", True), ("uid: <uid>", "uid: 5", False),
])  # fmt: skip
def test_an_output_fits_or_does_not(printed: str, output: str, fits: bool) -> None:
    (command,) = read(f"```console\n$ x\n{printed}\n```\n")
    assert isinstance(command, Command)
    assert command.matches(output) is fits


@pytest.mark.parametrize(("printed", "fails"), [
    ("error: no", True), ("Error from server: no", True), ('The Service "a" is invalid: no', True), ("an error", False),
])  # fmt: skip
def test_a_command_fails_where_its_page_says_so(printed: str, fails: bool) -> None:
    assert Command("x", (printed,)).fails is fails
