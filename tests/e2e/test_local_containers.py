"""What the local ECS gives a container besides its process: secrets, log delivery, and commands run inside."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fixtures.local.lab import FARGATE, SCENES, TRUST, Lab, eventually, lab

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
EXECUTION = f"arn:aws:iam::{ACCOUNT}:role/execution"
NARROW = f"arn:aws:iam::{ACCOUNT}:role/narrow"
DEBUGGED = f"arn:aws:iam::{ACCOUNT}:role/debugged"
SLEEPER = {"name": "app", "image": "shell", "stopTimeout": 2}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(SCENES / "minimal", tmp_path_factory.mktemp("local") / "state") as found:
        prepare(found)
        yield found


def prepare(cloud: Lab) -> None:
    """A cluster, and roles: two to execute with, one of which may little, one for commands, and the examples'."""
    cloud.api.create_cluster(clusterName="demo")
    iam = cloud.client("iam")
    narrow = {
        "Action": ["secretsmanager:GetSecretValue", "logs:CreateLogStream"],
        "Resource": ["arn:aws:secretsmanager:*:*:secret:allowed-*", "arn:aws:logs:*:*:log-group:/quiet:*"],
    }
    allowed = {
        "execution": {"Action": ["secretsmanager:GetSecretValue", "ssm:GetParameters", "logs:*"], "Resource": "*"},
        "narrow": narrow,
        "debugged": {"Action": "ssmmessages:*", "Resource": "*"},
        "web": {"Action": "ssmmessages:*", "Resource": "*"},
        "web-execution": {"Action": ["ssm:GetParameters", "logs:*"], "Resource": "*"},
        "mute": {"Action": "s3:GetObject", "Resource": "*"},
    }
    for name, statement in allowed.items():
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document))


def register(cloud: Lab, family: str, *containers: dict[str, Any], execution: str = EXECUTION, role: str = "") -> str:
    wanted = {**FARGATE, "family": family, "containerDefinitions": list(containers), "executionRoleArn": execution}
    if role:
        wanted["taskRoleArn"] = role
    return f"{family}:{cloud.api.register_task_definition(**wanted)['taskDefinition']['revision']}"


def started(cloud: Lab, definition: str, **settings: Any) -> str:
    task = str(cloud.run_task(definition, **settings)["taskArn"]).rpartition("/")[2]
    eventually(lambda: cloud.describe(task)["lastStatus"] == "RUNNING")
    return task


def reading(*secrets: tuple[str, str]) -> dict[str, Any]:
    """A container that prints the values of its secrets."""
    given = [{"name": name, "valueFrom": source} for name, source in secrets]
    return {
        "name": "app",
        "image": "shell",
        "command": [f"echo {'/'.join('$' + s[0] for s in secrets)}"],
        "secrets": given,
    }


def test_secrets_of_every_form_reach_the_process_and_nobody_else(cloud: Lab) -> None:
    secrets, parameters = cloud.client("secretsmanager"), cloud.client("ssm")
    plain = secrets.create_secret(Name="plain", SecretString="one")["ARN"]
    keyed = secrets.create_secret(Name="allowed-keyed", SecretString=json.dumps({"user": "two", "port": 5432}))
    newer = secrets.put_secret_value(SecretId="allowed-keyed", SecretString=json.dumps({"user": "three"}))
    parameters.put_parameter(Name="/shop/token", Value="four", Type="SecureString")
    parameters.put_parameter(Name="bare", Value="five", Type="String")
    definition = register(
        cloud,
        "secretive",
        reading(
            ("A", plain),
            ("B", f"{keyed['ARN']}:user:AWSPREVIOUS:"),
            ("C", f"{keyed['ARN']}:user::"),
            ("D", f"{keyed['ARN']}:port::{keyed['VersionId']}"),
            ("E", f"{keyed['ARN']}:user::{newer['VersionId']}"),
            ("F", "/shop/token"),
            ("G", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/shop/token"),
            ("H", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/bare"),
        ),
    )
    task = str(cloud.run_task(definition)["taskArn"]).rpartition("/")[2]
    cloud.stopped(task)
    assert cloud.ecs.log(f"{task}-app.log").read_text() == "one/two/three/5432/three/four/four/five\n"
    assert "four" not in json.dumps([cloud.ecs.status(), cloud.describe(task)], default=str)


@pytest.mark.parametrize(
    ("execution", "source", "why"),
    [
        (
            NARROW,
            "{plain}",
            "assumed-role/narrow/{task} is not authorized to perform: secretsmanager:GetSecretValue on",
        ),
        (NARROW, "/shop/token", "is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:us-east-1"),
        (EXECUTION, "{plain}:key::", "the secret is not JSON"),
        (EXECUTION, "{keyed}:ghost::", "did not contain json key ghost"),
        (EXECUTION, "{plain}-gone", "ResourceNotFoundException: Secrets Manager can't find the specified secret"),
        (EXECUTION, "{plain}:a:b:c:d", "InvalidParameter"),
        (EXECUTION, "/ghost", "invalid ssm parameters: /ghost"),
        (f"arn:aws:iam::{ACCOUNT}:role/ghost", "/ghost", "ECS was unable to assume the role"),
    ],
)
def test_a_secret_that_cannot_be_read_stops_the_task_before_it_starts(
    cloud: Lab, execution: str, source: str, why: str
) -> None:
    secrets = {one["Name"]: one["ARN"] for one in cloud.client("secretsmanager").list_secrets()["SecretList"]}
    arns = {"plain": secrets["plain"], "keyed": secrets["allowed-keyed"]}
    definition = register(cloud, "refused", reading(("A", source.format(**arns))), execution=execution)
    task = cloud.run_task(definition)
    assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "TaskFailedToStart")
    assert why.format(task=task["taskArn"].rpartition("/")[2]) in task["stoppedReason"]
    expected = "ECS was" if "ghost" in execution else "ResourceInitializationError: unable to pull secrets or registry"
    assert task["stoppedReason"].startswith(expected)


def test_a_role_reads_what_its_policy_names_and_a_service_tells_what_it_does_not(cloud: Lab) -> None:
    secrets = {one["Name"]: one["ARN"] for one in cloud.client("secretsmanager").list_secrets()["SecretList"]}
    allowed = register(cloud, "narrow", reading(("A", f"{secrets['allowed-keyed']}:user::")), execution=NARROW)
    assert cloud.stopped(cloud.run_task(allowed)["taskArn"])["containers"][0]["exitCode"] == 0
    cloud.create_service("denied", register(cloud, "denied", reading(("A", secrets["plain"])), execution=NARROW), 1)

    def told() -> list[str]:
        return [event["message"] for event in cloud.service("denied")["events"]]

    (event,) = eventually(lambda: [one for one in told() if "AccessDeniedException" in one][:1])
    assert event.startswith("(service denied) failed to launch a task with (error ResourceInitializationError")
    cloud.delete_service("denied")


def test_environment_files_stay_refused_in_a_sentence(cloud: Lab) -> None:
    given = [{"value": "arn:aws:s3:::bucket/file.env", "type": "s3"}]
    with pytest.raises(ClientError, match="environmentFiles is not supported by outrig local"):
        cloud.run_task(register(cloud, "files", {**SLEEPER, "environmentFiles": given}))


def logging_to(group: str, **options: str) -> dict[str, Any]:
    required = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "web"}
    return {"logConfiguration": {"logDriver": "awslogs", "options": {**required, **options}}}


def test_awslogs_streams_lines_as_they_are_written_and_what_is_left_at_the_end(cloud: Lab) -> None:
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/shop")
    script = "echo first; echo; printf 'caf\\303\\251\\r\\nunfinished'; until [ -e /tmp/end ]; do sleep 0.05; done"
    task = started(cloud, register(cloud, "logging", {**SLEEPER, "command": [script], **logging_to("/shop")}))
    stream = f"web/app/{task}"

    def seen() -> list[str]:
        # what `aws logs tail --follow` asks for, again and again
        found = logs.filter_log_events(logGroupName="/shop", startTime=1, interleaved=True, logStreamNamePrefix="web")
        return [event["message"] for event in found["events"]]

    eventually(lambda: seen() == ["first", "café"])
    cloud.ecs.run(task, ["touch", "/tmp/end"])
    eventually(lambda: seen() == ["first", "café", "unfinished"])
    streams = cloud.aws("logs", "describe-log-streams", "--log-group-name", "/shop")["logStreams"]
    assert [one["logStreamName"] for one in streams] == [stream]
    events = cloud.aws("logs", "get-log-events", "--log-group-name", "/shop", "--log-stream-name", stream)["events"]
    assert [one["message"] for one in events] == ["first", "café", "unfinished"]
    assert "first" in cloud.ecs.log(f"{task}-app.log").read_text()


def test_a_log_group_is_made_where_the_definition_says_so_and_else_its_absence_stops_the_task(cloud: Lab) -> None:
    logs = cloud.client("logs")
    missing = cloud.run_task(register(cloud, "groupless", {**SLEEPER, **logging_to("/none")}))
    assert missing["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args")
    assert "ResourceNotFoundException: The specified log group does not exist" in missing["stoppedReason"]
    logs.create_log_group(logGroupName="/forbidden")
    denied = register(cloud, "denied-logs", {**SLEEPER, **logging_to("/forbidden")}, execution=NARROW)
    assert "is not authorized to perform: logs:CreateLogStream" in cloud.run_task(denied)["stoppedReason"]
    create = logging_to("/made", **{"awslogs-create-group": "true"})
    cloud.stopped(cloud.run_task(register(cloud, "made", {**SLEEPER, "command": ["echo made"], **create}))["taskArn"])
    eventually(lambda: logs.filter_log_events(logGroupName="/made")["events"])
    incomplete = {"logDriver": "awslogs", "options": {"awslogs-group": "/made"}}
    with pytest.raises(ClientError, match="requires options: awslogs-region, awslogs-stream-prefix"):
        register(cloud, "incomplete", {**SLEEPER, "logConfiguration": incomplete})


def test_what_is_not_delivered_says_so_where_it_stays(cloud: Lab) -> None:
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/quiet")
    quiet = register(cloud, "quiet", {**SLEEPER, "command": ["echo hm"], **logging_to("/quiet")}, execution=NARROW)
    splunk = {**SLEEPER, "command": ["echo hm"], "logConfiguration": {"logDriver": "splunk"}}
    for definition, said in ((quiet, "logs:PutLogEvents"), (register(cloud, "splunk", splunk), "'splunk' delivers")):
        task = str(cloud.run_task(definition)["taskArn"]).rpartition("/")[2]
        cloud.stopped(task)
        notice, line = cloud.ecs.log(f"{task}-app.log").read_text().splitlines()
        assert (notice.startswith("outrig local: "), said in notice, line) == (True, True, "hm")
    assert logs.filter_log_events(logGroupName="/quiet")["events"] == []


def test_a_log_group_deleted_under_a_task_harms_nothing_but_its_stream(cloud: Lab) -> None:
    logs = cloud.client("logs")
    script = "n=0; while :; do n=$((n + 1)); echo line $n; sleep 0.1; done"
    tasks = []
    for group in ("/doomed", "/spared"):
        logs.create_log_group(logGroupName=group)
        tasks.append(started(cloud, register(cloud, "lines", {**SLEEPER, "command": [script], **logging_to(group)})))
    logs.delete_log_group(logGroupName="/doomed")
    count = cloud.ecs.log(f"{tasks[0]}-app.log").read_text().count("\n")
    eventually(lambda: cloud.ecs.log(f"{tasks[0]}-app.log").read_text().count("\n") > count + 10)
    newest = cloud.ecs.log(f"{tasks[1]}-app.log").read_text().splitlines()[-2]
    stream = {"logGroupName": "/spared", "logStreamName": f"web/app/{tasks[1]}"}
    eventually(lambda: newest in [event["message"] for event in logs.get_log_events(**stream)["events"]])
    eventually(lambda: f"no more of task {tasks[0]}" in cloud.ecs.log("emulator.log").read_text())


def test_the_oldest_events_go_when_there_are_too_many_and_the_file_keeps_all(cloud: Lab) -> None:
    logs = cloud.client("logs")
    logs.create_log_group(logGroupName="/loud")
    script = "yes 0123456789012345678901234567890123456789 | head -n 90000; echo last"
    task = started(
        cloud, register(cloud, "loud", {**SLEEPER, "command": [f"{script}; sleep 600"], **logging_to("/loud")})
    )
    stream = {"logGroupName": "/loud", "logStreamName": f"web/app/{task}"}

    def newest() -> bool:
        events = logs.get_log_events(**stream, limit=1)["events"]
        return bool(events) and events[0]["message"] == "last"

    eventually(newest)
    token, count = logs.get_log_events(**stream, limit=10000)["nextBackwardToken"], 10000
    while found := logs.get_log_events(**stream, limit=10000, nextToken=token):
        if not found["events"] or token == found["nextBackwardToken"]:
            break
        token, count = found["nextBackwardToken"], count + len(found["events"])
    assert 10000 < count < 60000
    assert cloud.ecs.log(f"{task}-app.log").read_text().count("\n") == 90001


def test_execute_command_runs_in_the_container_and_ends_with_0_as_awss_does(cloud: Lab) -> None:
    side = {**SLEEPER, "name": "side", "environment": [{"name": "WHO", "value": "side"}]}
    definition = register(cloud, "entered", SLEEPER, side, role=DEBUGGED)
    task = started(cloud, definition, enableExecuteCommand=True)
    agents = [one["managedAgents"][0] for one in cloud.describe(task)["containers"]]
    assert [(one["name"], one["lastStatus"]) for one in agents] == [("ExecuteCommandAgent", "RUNNING")] * 2
    command = ("--command", "/bin/sh -c 'echo I am $WHO; echo oops >&2; exit 5'")
    answer = execute(cloud, task, *command, "--container", "side")
    assert (answer.returncode, "I am side\n" in answer.stdout, "oops" in answer.stderr) == (0, True, True)
    assert "Starting session with SessionId: ecs-execute-command-" in answer.stdout
    assert "Exiting session with sessionId: ecs-execute-command-" in answer.stdout
    absent = execute(cloud, task, "--command", "no-such-program", "--container", "side")
    assert (absent.returncode, "no-such-program" in absent.stderr) == (0, True)


def execute(cloud: Lab, task: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return cloud.try_aws("ecs", "execute-command", "--cluster", "demo", "--task", task, "--interactive", *arguments)


@pytest.mark.parametrize(
    ("role", "enabled", "change", "problem"),
    [
        (DEBUGGED, False, {}, "execute command was not enabled when the task was run"),
        (DEBUGGED, True, {"interactive": False}, "Interactive is the only mode supported currently"),
        (DEBUGGED, True, {"container": "ghost"}, "no container named ghost"),
        (DEBUGGED, True, {"command": "sh -c 'open"}, "cannot be split into words"),
        (DEBUGGED, True, {"task": "0" * 32}, "The referenced task was not found"),
        (
            f"arn:aws:iam::{ACCOUNT}:role/mute",
            True,
            {},
            "TargetNotConnectedException.*ssmmessages:CreateControlChannel",
        ),
    ],
)
def test_execute_command_is_refused_as_ecs_refuses_it(
    cloud: Lab, role: str, enabled: bool, change: dict[str, Any], problem: str
) -> None:
    task = started(cloud, register(cloud, "locked", SLEEPER, role=role), enableExecuteCommand=enabled)
    asked = {"cluster": "demo", "task": task, "command": "true", "interactive": True, **change}
    with pytest.raises(ClientError, match=problem):
        cloud.api.execute_command(**asked)
    cloud.api.stop_task(cluster="demo", task=task)


def test_commands_need_a_container_among_several_and_a_task_role(cloud: Lab) -> None:
    task = started(
        cloud, register(cloud, "two", SLEEPER, {**SLEEPER, "name": "b"}, role=DEBUGGED), enableExecuteCommand=True
    )
    with pytest.raises(ClientError, match="A container name is required"):
        cloud.api.execute_command(cluster="demo", task=task, command="true", interactive=True)
    with pytest.raises(ClientError, match="a valid taskRoleArn is not being used"):
        cloud.run_task(register(cloud, "roleless", SLEEPER), enableExecuteCommand=True)


def test_a_session_is_for_one_command_once(cloud: Lab) -> None:
    task = started(cloud, register(cloud, "once", SLEEPER, role=DEBUGGED), enableExecuteCommand=True)
    session = cloud.api.execute_command(cluster="demo", task=task, command="echo hi", interactive=True)["session"]
    first, second = plugin(cloud, session), plugin(cloud, session)
    assert ("hi\n" in first.stdout, first.stderr) == (True, "")
    assert ("hi\n" in second.stdout, "no such session" in second.stderr) == (False, True)


def plugin(cloud: Lab, session: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = cloud.directory / "bin" / "session-manager-plugin"
    return subprocess.run([program, json.dumps(session)], capture_output=True, text=True, check=False, stdin=-3)


def test_a_shell_in_a_terminal_has_job_control_and_ctrl_c(cloud: Lab) -> None:
    shell = {**SLEEPER, "user": "1337"}
    task = started(cloud, register(cloud, "terminal", shell, role=DEBUGGED), enableExecuteCommand=True)
    session = cloud.api.execute_command(cluster="demo", task=task, command="/bin/sh", interactive=True)["session"]
    child, screen = pty.fork()
    if child == 0:
        os.execv(cloud.directory / "bin" / "session-manager-plugin", ["plugin", json.dumps(session)])  # noqa: S606
    os.set_blocking(screen, False)
    seen = ""

    def look(text: str) -> bool:
        nonlocal seen
        with suppress(OSError):  # nothing to read yet, or nobody left to write
            seen += os.read(screen, 4096).decode()
        return text in seen

    def shows(text: str) -> None:
        eventually(lambda: look(text))

    def sleeps() -> bool:
        return cloud.ecs.run(task, ["sh", "-c", "grep -l 8639[6] /proc/[0-9]*/cmdline"]).stdout != ""

    shows("$")
    os.write(screen, b"tty; sleep 86396\n")
    shows("/dev/pts/")
    eventually(sleeps)
    os.write(screen, b"\x03")
    os.write(screen, b"echo still $((40 + 2)); exit\n")
    shows("still 42")
    shows("Exiting session")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(screen)
    assert not sleeps()


def test_a_terminal_that_goes_away_takes_its_command_along(cloud: Lab) -> None:
    task = started(cloud, register(cloud, "gone", SLEEPER, role=DEBUGGED), enableExecuteCommand=True)
    asked = {"cluster": "demo", "task": task, "command": "sleep 86395", "interactive": True}
    session = cloud.api.execute_command(**asked)["session"]
    child, screen = pty.fork()
    if child == 0:
        os.execv(cloud.directory / "bin" / "session-manager-plugin", ["plugin", json.dumps(session)])  # noqa: S606
    look = ["sh", "-c", "grep -l 8639[5] /proc/[0-9]*/cmdline"]
    eventually(lambda: cloud.ecs.run(task, look).stdout)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(screen)
    eventually(lambda: cloud.ecs.run(task, look).stdout == "")
