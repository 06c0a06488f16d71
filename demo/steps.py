"""The steps of the demo, in order: what a user would do, and a look at what came of it. A docstring is a title."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from demo.foreign import write_foreign_identity
from demo.stage import BIN, COUNTER, EXAMPLE, ROOT, Running, Stage, StepFailed

Step = Callable[[Stage], None]
RATINGS = ("--resolve", "ratings.bookinfo:9080:127.0.0.2", "ratings.bookinfo:9080/ratings/0")
RATINGS_URL = "http://ratings.bookinfo:9080/ratings/0"
DETAILS = ("--resolve", "details.bookinfo:9080:127.0.0.2", "details.bookinfo:9080/details/0")


def expect(holds: object, problem: str) -> None:
    """Fail the step unless it holds."""
    if not holds:
        raise StepFailed(problem)


def the_control_plane_starts(stage: Stage) -> None:
    """A local ECS and a control plane start"""
    kubeconfig = stage.state / "control-plane" / "kubeconfig"
    stage.until(lambda: kubeconfig.exists() or None, f"no kubeconfig; see {stage.directory}/launcher.log")
    shutil.copy(kubeconfig, stage.directory / "kubeconfig")
    port = stage.until(lambda: stage.ecs.published()["control-plane"]["api"], "the API's port is not published")
    stage.shell(f"kubectl config set-cluster outrig --server https://127.0.0.1:{port}")
    stage.until(lambda: stage.shell("kubectl get --raw /readyz") or None, "the control plane does not answer")
    stage.shell(f"{COUNTER}/names")
    stage.show(stage.shell("kubectl version"))


def the_three_documents_apply(stage: Stage) -> None:
    """The guide's three documents apply unchanged"""
    stage.show(stage.shell(f"kubectl apply -f {EXAMPLE}/mesh.yaml"))
    stage.show(stage.shell(f"kubectl apply -f {EXAMPLE}/workloadgroup.yaml -f {EXAMPLE}/sidecar.yaml"))
    account = stage.shell("aws sts get-caller-identity --query Account --output text").strip()
    fill = f"sed s/'<AWS_ACCOUNT_ID>'/{account}/ {EXAMPLE}/onboardingpolicy.yaml"
    stage.show(stage.shell(f"{fill} | kubectl apply -f -"))
    again = stage.shell(f"kubectl apply -f {EXAMPLE}/workloadgroup.yaml -f {EXAMPLE}/sidecar.yaml")
    expect(again.count("unchanged") == 2, f"applied twice, something changed:\n{again}")


def one_ecs_service_joins(stage: Stage) -> None:
    """Role, task definition and service with the real aws client; the task joins"""
    stage.shell("aws ecs create-cluster --cluster-name bookinfo")
    stage.shell(f"{EXAMPLE}/deploy ratings")
    wait_connected(stage, "ratings")
    stage.show(stage.shell("kubectl get war -n bookinfo"))
    task = stage.shell('kubectl get war -n bookinfo -o jsonpath="{.items[0].spec.identity.aws.ecs.taskId}"')
    running = stage.tasks("ratings")[0]["taskArn"].rpartition("/")[2]
    expect(task == running, f"the registration names task {task}, ECS runs {running}")
    stage.show(f"task id, as kubectl and as ECS know it: {task}")


def wait_connected(stage: Stage, group: str, *, count: int = 1, namespace: str = "bookinfo") -> None:
    """Wait until that many tasks of the group are registered, connected, and ready to serve."""

    def look() -> bool | None:
        found = stage.registrations(group, namespace)
        connected = [war for war in found if "True" in conditions(war, "AgentConnected")]
        ready = [name for name in names(found) if "True" in ready_state(stage, namespace, name)]
        return (len(connected) == len(ready) == count) or None

    stage.until(look, f"{count} task(s) of {group} connected and ready")


def conditions(resource: dict, kind: str) -> list[str]:  # type: ignore[type-arg]
    """The status of the conditions of that type."""
    found = resource.get("status", {}).get("conditions", [])
    return [condition["status"] for condition in found if condition["type"] == kind]


def names(resources: list) -> list[str]:  # type: ignore[type-arg]
    """Their names."""
    return [resource["metadata"]["name"] for resource in resources]


def ready_state(stage: Stage, namespace: str, name: str) -> list[str]:
    """The Ready condition of a WorkloadEntry."""
    return conditions(json.loads(stage.shell(f"kubectl get workloadentry -n {namespace} {name} -o json")), "Ready")


def traffic_to_the_task(stage: Stage) -> None:
    """A second task calls ratings over mutual TLS; the application sees the caller's SPIFFE id"""
    answer = stage.until(lambda: stage.inside("productpage", "curl", "-f", *RATINGS), "ratings answers productpage")
    expect(json.loads(answer)["ratings"]["Reviewer1"] == 5, answer)
    stage.show(answer)
    seen = stage.inside("productpage", "curl", "-f", *RATINGS[:2], "ratings.bookinfo:9080/caller")
    expect(
        json.loads(seen)["caller"] == "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-productpage",
        f"ratings saw: {seen}",
    )
    stage.show(seen)


def traffic_from_the_task(stage: Stage) -> None:
    """The guide's curl inside the task: details answers through 127.0.0.2, by Envoy"""
    answer = stage.until(
        lambda: stage.inside("ratings", "curl", "-f", "-i", *DETAILS, container="onboarding-agent"), "details answers"
    )
    expect("server: envoy" in answer, answer)
    stage.show(answer)
    unknown = stage.inside("ratings", "curl", "-i", "-H", "Host: nobody.example", "127.0.0.2:9080/")
    expect(" 502 " in unknown.splitlines()[0], f"an unknown Host was answered: {unknown}")
    stage.show(f"an unknown Host: {unknown.splitlines()[0]}")


def the_access_log(stage: Stage) -> None:
    """The sidecar's access log is on the agent container's standard output"""
    task = task_id(stage, "ratings")

    def look() -> str | None:
        lines = [
            line for line in stage.agent_log(task).splitlines() if re.search(r'"GET /ratings/0 HTTP/\S+" 200', line)
        ]
        return lines[-1] if lines else None

    line = stage.until(look, "a line of GET /ratings/0 in the agent's log", seconds=20)
    expect("inbound|9080||" in line, line)
    stage.show(line)


def task_id(stage: Stage, service: str) -> str:
    """The id of the (first) running task of a service."""
    return ids(stage, service)[0]


def address(stage: Stage, service: str) -> str:
    """The address of the (first) running task of a service."""
    details = stage.tasks(service)[0]["attachments"][0]["details"]
    found: str = next(detail["value"] for detail in details if detail["name"] == "privateIPv4Address")
    return found


def strangers_are_turned_away(stage: Stage) -> None:
    """Plaintext and foreign certificates are turned away at the task's address"""
    ratings = f"{address(stage, 'ratings')}:9080"
    plain = stage.inside("productpage", "curl", f"http://{ratings}/ratings/0", ok=False)
    expect("Reviewer1" not in plain and "curl: (" in plain, f"plaintext was answered: {plain}")
    stage.show(f"plaintext: {plain}")
    call = (str(BIN / "python"), str(ROOT / "demo/stranger.py"), *ratings.split(":"))
    foreign = write_foreign_identity(stage.state / "files")
    refused = stage.inside("productpage", *call, *foreign)
    expect(refused.startswith("turned away"), f"a foreign certificate was accepted: {refused}")
    stage.show(f"foreign certificate, same SPIFFE id: {refused}")
    own = stage.inside("productpage", *call, "/run/outrig/workload.json", container="onboarding-agent")
    expect(" 200 " in own, f"the same call with a certificate of the mesh was refused: {own}")
    stage.show(f"the same call with productpage's own certificate: {own}")


def a_role_that_is_not_allowed(stage: Stage) -> None:
    """A role that no policy allows is refused, and both sides say why"""
    stage.shell("kubectl apply -f -", text=(ROOT / "demo/vault.yaml").read_text(encoding="utf-8"))
    stage.shell(
        f"cd {EXAMPLE}; aws iam create-role --role-name visitor --assume-role-policy-document file://trust-ecs-tasks.json"
    )
    definition = json.loads(stage.shell(f"AWS_ACCOUNT_ID=123456789012 {EXAMPLE}/task-definition details"))
    environment = definition["containerDefinitions"][0]["environment"][0]
    environment["value"] = environment["value"].replace("bookinfo", "vault").replace('"details"', '"vault"')
    definition |= {"family": "visitor", "taskRoleArn": "arn:aws:iam::123456789012:role/visitor"}
    task = run_task(stage, definition)
    log = stage.until(
        lambda: found(stage.agent_log(task), r".*Not authorized by OnboardingPolicy.*"), "a refusal in the agent's log"
    )
    stage.show(f"agent: {log}")
    event = stage.until(
        lambda: found(stage.shell("kubectl get events -n vault"), r".*OnboardingDenied.*"), "an event in the namespace"
    )
    stage.show(f"kubectl get events: {event}")
    expect(not stage.registrations("vault", "vault"), "it was registered all the same")
    stage.shell(f"aws ecs stop-task --cluster bookinfo --task {task}")


def run_task(stage: Stage, definition: dict) -> str:  # type: ignore[type-arg]
    """Register the definition and run one task of it; gives its id."""
    file = stage.directory / f"{definition['family']}.json"
    file.write_text(json.dumps(definition), encoding="utf-8")
    stage.shell(f"aws ecs register-task-definition --cli-input-json file://{file}")
    network = "'awsvpcConfiguration={subnets=[subnet-bookinfo]}'"
    run = f"aws ecs run-task --cluster bookinfo --launch-type FARGATE --network-configuration {network}"
    arn = stage.shell(f"{run} --task-definition {definition['family']} --query 'tasks[0].taskArn' --output text")
    return arn.strip().rpartition("/")[2]


def found(text: str, pattern: str) -> str | None:
    """The last line that fits, if any."""
    lines = re.findall(pattern, text)
    return lines[-1].strip() if lines else None


def stolen_proofs(stage: Stage) -> None:
    """A proof replayed, for another key, or for another control plane is refused"""
    roots = Path(stage.environment()["ONBOARDING_ROOT_CERTS"]).read_text(encoding="ascii")
    environment = {"ONBOARDING_HOST": "10.7.0.10", "ONBOARDING_AGENT_ROOT_CERTS": roots}
    container = {
        "name": "intruder",
        "image": "demo/intruder:latest",
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
    }
    definition = {
        "family": "intruder",
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "taskRoleArn": "arn:aws:iam::123456789012:role/details",
        "containerDefinitions": [container],
    }
    task = run_task(stage, definition)
    log = stage.until(
        lambda: log if '"done"' in (log := stage.agent_log(task, "intruder")) else None, "the intruder's attempts"
    )
    outcomes = {line["attempt"]: line for line in map(json.loads, re.findall(r"^\{.*\}$", log, re.MULTILINE))}
    for name, outcome in outcomes.items():
        if name != "done":
            stage.show(f"{name}: {outcome['status']} {outcome['reason']}".rstrip())
    statuses = {name: outcome.get("status") for name, outcome in outcomes.items()}
    expect(statuses.pop("honest") == 200, "even the honest request was refused, so this step shows nothing")
    statuses.pop("done")
    expect(len(statuses) == 3 and set(statuses.values()) <= {400, 403, 409}, f"not all refused: {statuses}")
    stage.shell(f"aws ecs stop-task --cluster bookinfo --task {task}")
    stage.shell(f"kubectl delete war -n bookinfo {intruder_name(stage, task)}")


def intruder_name(stage: Stage, task: str) -> str:
    """The registration that the intruder's one honest join made."""
    return next(name for name in names(stage.registrations("details")) if name.endswith(task))


def policy_deleted(stage: Stage) -> None:
    """Policy deleted: a new task is refused, running ones are untouched; applied again, it joins by itself"""
    policy = stage.shell("kubectl get onboardingpolicy -n bookinfo allow-ecs -o yaml")
    stage.shell("kubectl delete onboardingpolicy -n bookinfo allow-ecs")
    stage.shell("aws ecs update-service --cluster bookinfo --service ratings --desired-count 2")
    first = stage.registrations("ratings")[0]["spec"]["identity"]["aws"]["ecs"]["taskId"]
    new = stage.until(lambda: next((t for t in ids(stage, "ratings") if t != first), None), "a second task")
    refusal = stage.until(lambda: found(stage.agent_log(new), r".*Not authorized by OnboardingPolicy.*"), "its refusal")
    stage.show(refusal)
    expect(len(stage.registrations("ratings")) == 1, "the second task got in without a policy")
    stage.inside("productpage", "curl", "-f", *RATINGS)
    document = re.sub(r"^  (resourceVersion|uid|creationTimestamp|generation):.*\n", "", policy, flags=re.MULTILINE)
    stage.shell("kubectl apply -f -", text=document)
    wait_connected(stage, "ratings", count=2)
    stage.show(stage.shell("kubectl get war -n bookinfo"))
    stage.shell("aws ecs update-service --cluster bookinfo --service ratings --desired-count 1")
    stage.until(lambda: len(stage.registrations("ratings")) == 1 or None, "the second task left")


def ids(stage: Stage, service: str) -> list[str]:
    """The ids of a service's running tasks."""
    tasks = stage.ecs.status()["tasks"]
    return [task["id"] for task in tasks if (task["group"], task["lastStatus"]) == (f"service:{service}", "RUNNING")]


def start_load(
    stage: Stage, task: str, url: str, *, rate: int, connect: str = "127.0.0.2:9080", container: str | None = None
) -> Running:
    """A constant rate of calls by a task, every one accounted for, until `account_for` ends it."""
    stage.show(f"{rate} requests a second for {url}")
    client = (str(BIN / "python"), str(ROOT / "examples/apps/load.py"), "--until-stdin-ends", "--seconds", "100")
    options = ("--rate", str(rate), "--reject", "unavailable", "--connect", connect)
    return stage.start_inside(task, *client, *options, url, container=container)


def account_for(stage: Stage, load: Running, *, least: int) -> None:
    """The load ends: at least so many requests were sent, and none failed."""
    account = json.loads(load.result().splitlines()[-1])
    stage.show(
        f"{account['sent']} requests, {account['failed']} failed{account['failures'] or ''},"
        f" longest pause {account['longestPauseMs']} ms"
    )
    expect(account["sent"] >= least and account["failed"] == 0, f"requests were lost: {account}")


def control_plane_killed(stage: Stage) -> None:
    """Control plane killed with SIGKILL and restarted under load: no failed request, nothing lost"""
    before = {war["metadata"]["uid"] for war in stage.registrations("ratings")}
    load = start_load(stage, "productpage", RATINGS_URL, rate=50)
    killed = control_plane_pid(stage)
    stage.ecs.kill("control-plane")

    def restarted() -> bool | None:
        return control_plane_pid(stage) not in (None, killed) or None

    stage.until(restarted, "the control plane is started again")
    stage.until(lambda: stage.shell("kubectl get --raw /readyz") or None, "it answers again")
    wait_connected(stage, "ratings")
    account_for(stage, load, least=100)
    after = {war["metadata"]["uid"] for war in stage.registrations("ratings")}
    expect(before == after, "the registration is another one")
    stage.show("the agent reconnected; the registration is the same one")


def control_plane_pid(stage: Stage, replica: str = "control-plane") -> int | None:
    """Of a replica's process; None while there is none."""
    instances = {instance["name"]: instance for instance in stage.ecs.status()["instances"]}
    pid: int | None = instances[replica]["pid"]
    return pid


def certificates_renewed(stage: Stage) -> None:
    """Certificates renewed under load, at whichever end of the calls is first: no failed request"""
    ends = ("productpage", "ratings")
    first = {end: serial(stage, end) for end in ends}
    load = start_load(stage, "productpage", RATINGS_URL, rate=50)

    def renewed() -> str | None:
        return next((end for end in ends if serial(stage, end) != first[end]), None)

    end = stage.until(renewed, "a new certificate")
    for _ in range(20):  # and calls go on with it
        stage.inside("productpage", "curl", "-f", *RATINGS)
    account_for(stage, load, least=50)
    stage.show(f"serial number of the certificate of {end}: {first[end]}, then {serial(stage, end)}")


def serial(stage: Stage, service: str) -> str:
    """The serial number of the certificate that a service's sidecar has."""
    code = (
        "import json,socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/outrig/admin.sock');"
        "s.sendall(b'GET /certs HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n');"
        "b=b''.join(iter(lambda: s.recv(65536), b'')).partition(b'\\r\\n\\r\\n')[2].decode();"
        "d=json.JSONDecoder().raw_decode(b[b.index('{'):])[0];"
        "print(sorted({c['serial_number'] for e in d['certificates'] for c in e['cert_chain']"
        " if any('/ns/' in n.get('uri','') for n in c['subject_alt_names'])})[0][:16])"
    )
    return stage.inside(service, str(BIN / "python"), "-c", code, container="onboarding-agent").strip()


def memory(stage: Stage) -> None:
    """What a sidecar costs"""
    containers = stage.ecs.status()["tasks"]
    agent = next(c for t in containers for c in t["containers"] if c["name"] == "onboarding-agent" and c["pid"])
    rows = [("agent", agent["pid"]), *((f"Envoy (child of {agent['pid']})", pid) for pid in children(agent["pid"]))]
    for name, pid in rows:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        sizes = {key: int(size) // 1024 for key, size in re.findall(r"^(Rss|Pss|Pss_Anon):\s+(\d+) kB", rollup, re.M)}
        stage.show(
            f"{name}: {sizes['Rss']} MiB resident, {sizes['Pss']} MiB proportional, {sizes['Pss_Anon']} MiB its own"
        )
    expect(len(rows) > 1, "the agent runs no Envoy")


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in tasks for child in file.read_text(encoding="ascii").split()]


def bad_input(stage: Stage) -> None:
    """Bad input is refused in one sentence, and nothing of it is applied"""
    unquoted = (EXAMPLE / "onboardingpolicy.yaml").read_text(encoding="utf-8")
    unquoted = unquoted.replace('"<AWS_ACCOUNT_ID>"', "123456789012").replace("allow-ecs", "unquoted")
    deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: bookinfo}\nspec: {}\n"
    misspelt = (EXAMPLE / "sidecar.yaml").read_text(encoding="utf-8").replace("workloadSelector", "workloadSelecter")
    for name, text in (("unquoted account id", unquoted), ("Deployment", deployment), ("misspelt field", misspelt)):
        said = stage.shell("kubectl apply -f -", text=text, ok=False)
        expect("created" not in said and "configured" not in said, f"{name}: {said}")
        last = said.strip().splitlines()[-1].removeprefix('for: "STDIN": ')
        stage.show(f"{name}: {last}")
