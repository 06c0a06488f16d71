"""`outrig cp run` that cannot start says why in one sentence, status 2; one that is killed starts again as it was."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.bad_input import (
    OUTRIG,
    ControlPlane,
    control_plane,
    eventually,
    refused_start,
    settings_of,
    start,
    wait_ready,
)

pytestmark = pytest.mark.slow


def a_file(data: Path) -> None:
    data.write_text("")


def a_garbage_database(data: Path) -> None:
    data.mkdir()
    (data / "outrig.db").write_bytes(os.urandom(8192))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (a_file, "cannot be made: File exists"),
        (a_garbage_database, "outrig.db: file is not a database (give another path"),
    ],
)
def test_a_data_directory_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    make(tmp_path / "cp")
    assert says in refused_start(settings_of(tmp_path / "cp"))


def test_a_directory_that_cannot_be_made_is_one_sentence() -> None:
    assert "OUT003 /proc/outrig: cannot be made" in refused_start(settings_of(Path("/proc/outrig")))


@pytest.mark.parametrize("port", ["AGENTS", "XDS", "API_HTTPS"])
def test_a_taken_port_is_one_sentence(tmp_path: Path, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        said = refused_start(settings_of(tmp_path / "cp", **{f"{port}_port": number}))
    assert f"127.0.0.1:{number}: cannot listen there: Address already in use" in said


@pytest.mark.parametrize("setting", ["bind", "api_bind"])
def test_an_address_that_is_not_ours_is_one_sentence(tmp_path: Path, setting: str) -> None:
    said = refused_start(settings_of(tmp_path / "cp", **{setting: "203.0.113.7"}))
    assert "203.0.113.7:0: cannot listen there: Cannot assign requested address" in said


def test_ipv6_addresses_serve_every_port(tmp_path: Path) -> None:
    with control_plane(tmp_path / "cp", bind="::1", api_bind="::1") as plane:
        assert plane.is_ready()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("certificate_lifetime", "1s"),
        ("aws_regions", "mars"),
        ("advertised_hosts", "ok,\u00fc"),
    ],
)
def test_a_wrong_value_names_its_source_and_what_was_expected(tmp_path: Path, name: str, value: str) -> None:
    said = refused_start(settings_of(tmp_path / "cp", **{name: value}))
    assert f"OUT001 environment: OUTRIG_{name.upper()}: {value!r} is not a" in said
    assert not (tmp_path / "cp").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "cannot be read: while parsing"),
        ("data_dir:", "data_dir: '' is not a path"),
        ("agents_prot: 1", "agents_prot: there is no such setting (did you mean 'agents_port'?)"),
    ],
)
def test_a_wrong_file_names_itself_and_the_setting(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    said = refused_start(settings_of(tmp_path / "cp"), "--config", str(file))
    assert said.startswith(f"OUT001 {file}: ")
    assert says in said


def test_wrong_flags_are_one_sentence(tmp_path: Path) -> None:
    environment = settings_of(tmp_path / "cp")
    assert "OUT001 --set: agents_port: 'x' is not a port" in refused_start(environment, "--set", "agents_port=x")
    assert "OUT002 --set: 'x' has no `=`" in refused_start(environment, "--set", "x")


def test_a_second_control_plane_on_a_directory_and_another_trust_domain_are_refused(tmp_path: Path) -> None:
    with control_plane(tmp_path / "cp") as plane:
        before = plane.contents()
        assert "outrig.db: another process has it open" in refused_start(plane.environment)
        assert plane.is_ready()
    said = refused_start(settings_of(tmp_path / "cp", trust_domain="other.example"))
    assert "its trust domain is cluster.local, not other.example" in said
    with control_plane(tmp_path / "cp") as plane:
        assert plane.contents() == before


def test_a_start_that_is_killed_at_any_moment_can_be_repeated(tmp_path: Path) -> None:
    environment, log = settings_of(tmp_path / "cp"), tmp_path / "log"
    moments = ("outrig.db", "tls/control-ca.pem", "ports.json")
    for moment in moments:
        shutil.rmtree(tmp_path / "cp", ignore_errors=True)
        process = start(environment, log)
        eventually((tmp_path / "cp" / moment).exists, f"{moment} is written")
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
        with control_plane(tmp_path / "cp") as plane:
            assert plane.is_ready()
            assert plane.api("GET", "/api/v1/namespaces/default").status == 200
    assert "Traceback" not in log.read_text()


def test_what_was_confirmed_before_a_sigkill_is_there_after_it(tmp_path: Path) -> None:
    confirmed: list[str] = []
    with control_plane(tmp_path / "cp") as plane:
        writing = threading.Thread(target=write_until_refused, args=(plane, confirmed))
        writing.start()
        eventually(lambda: len(confirmed) >= 20, "some objects are written")
        plane.process.kill()
        writing.join()
        plane.process.wait()
    with control_plane(tmp_path / "cp") as plane:
        listed = plane.api("GET", "/api/v1/namespaces/default/serviceaccounts").json["items"]
        found = {item["metadata"]["name"] for item in listed}
        assert set(confirmed) <= found
        assert len(found) - len(confirmed) <= 1


def write_until_refused(plane: ControlPlane, confirmed: list[str]) -> None:
    """Create objects one after the other, noting those that were confirmed, until the control plane is gone."""
    while True:
        name = f"a{len(confirmed)}"
        body = f'{{"apiVersion":"v1","kind":"ServiceAccount","metadata":{{"name":"{name}"}}}}'.encode()
        try:
            answer = plane.api("POST", "/api/v1/namespaces/default/serviceaccounts", body)
        except (OSError, AssertionError):
            return
        if answer.status == 201:
            confirmed.append(name)


def test_a_second_signal_to_stop_changes_nothing(tmp_path: Path) -> None:
    with control_plane(tmp_path / "cp") as plane:
        plane.process.send_signal(signal.SIGTERM)
        assert plane.stop(signal.SIGTERM) == 0


def test_a_full_disk_refuses_writes_in_words_and_serves_on(tmp_path: Path) -> None:
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let this user make mount namespaces")
    (tmp_path / "small").mkdir()
    environment, log = settings_of(tmp_path / "small" / "cp"), tmp_path / "log"
    command = f"mount -t tmpfs -o size=2m none {tmp_path}/small && exec {OUTRIG} cp run"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*unshare, "sh", "-c", command], env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    seen = f"/proc/{process.pid}/root{environment['OUTRIG_DATA_DIR']}"
    plane = ControlPlane({**environment, "OUTRIG_DATA_DIR": seen}, process, log)
    try:
        wait_ready(process, log)
        assert_a_full_disk_is_survived(plane)
        assert plane.stop() == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
    assert "Traceback" not in log.read_text()


def assert_a_full_disk_is_survived(plane: ControlPlane) -> None:
    """Writes are refused while the disk is full, and work when it is not; reads always do."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    assert plane.admin  # written before there is no room
    filler = plane.data / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    body = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "x", "annotations": {"a": "b" * 200_000}},
    }
    refused = plane.api("POST", accounts, json.dumps(body).encode())
    assert (refused.status, refused.json["reason"]) == (503, "ServiceUnavailable"), refused
    assert "disk" in refused.message
    assert plane.is_ready()
    assert plane.api("GET", accounts).json["items"] == []
    filler.unlink()
    assert plane.api("POST", accounts, json.dumps(body).encode()).status == 201
