"""The emulator's process: moto with signatures verified, the ECS engine, the agent endpoint and the control socket.

In: the launcher's settings and the way to the zygote.  Out: an AWS endpoint in the host and in the VPC. It is the
state: when it dies, everything ends with it.
"""

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before moto is imported: it reads its settings then. Signatures and policies count from the first call on.
os.environ.update(
    INITIAL_NO_AUTH_ACTION_COUNT="0",
    MOTO_IAM_LOAD_MANAGED_POLICIES="true",
    AWS_ACCESS_KEY_ID="unused",
    AWS_SECRET_ACCESS_KEY="unused",  # noqa: S106 - keeps botocore from looking for real ones
)

import moto.ecs.urls as ecs_urls
from moto.iam.access_control import IAMRequestBase
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from outrig.local import cloud_map, route53
from outrig.local.channel import Channel
from outrig.local.control import Control
from outrig.local.engine import Engine
from outrig.local.gateway import guarded
from outrig.local.hosts import HostFailed, Hosts
from outrig.local.identities import Keys, create_user
from outrig.local.launching import Launcher
from outrig.local.layout import Settings
from outrig.local.metadata import AgentEndpoint
from outrig.local.network import GATEWAY, RESOLVER
from outrig.local.orders import LaunchOrder, Publication
from outrig.local.private_zones import PrivateZones
from outrig.local.reports import Reporter
from outrig.local.resolver import Resolver
from outrig.local.responses import EcsResponse
from outrig.local.scene import Scene, load_scene

API_PORT = 4566


def serve(settings: Settings, orders: Channel) -> None:
    """Run the emulator in the current process; does not return."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    reporter = Reporter(settings.report)
    scene = load_scene(Path(settings.scene), Path(settings.directory))
    os.environ["MOTO_ACCOUNT_ID"] = scene.account
    launcher = Launcher(scene, settings.state, [str(Path(settings.scene).resolve()), *scene.mounts])
    engine = Engine(launcher, orders)
    _patch_moto(engine, scene)
    admin = create_user(scene.account, scene.region, "admin", ["*"])
    hosts = Hosts(engine, _instance_orders(settings, scene, launcher), reporter.progress)
    _start(
        engine.run, engine.log_delivery.run, AgentEndpoint(engine).serve_forever, Control(settings, engine, hosts).run
    )
    _start(*Resolver(PrivateZones(scene.account, scene.region), address=RESOLVER).loops)
    _serve_api(settings)
    _write_credentials(settings, scene, admin)
    reporter.progress("AWS is ready")
    hosts.start()
    try:
        hosts.wait_ready()
    except HostFailed as failure:
        reporter.failed(str(failure))
    else:
        reporter.ready()
    threading.Event().wait()


def _instance_orders(settings: Settings, scene: Scene, launcher: Launcher) -> list[LaunchOrder]:
    orders = []
    for name, instance in scene.instances.items():
        keys = create_user(scene.account, scene.region, name, instance.policy).environment()
        listeners = settings.published.get(name, {}).values()
        publish = [Publication(listener.descriptor, listener.port) for listener in listeners]
        orders.append(launcher.instance_order(name, keys, publish))
    return orders


def _patch_moto(engine: Engine, scene: Scene) -> None:
    """The seams in moto that are ours: Route 53, Cloud Map, ECS calls, and the signature of requests without a body."""
    route53.install()
    cloud_map.install()
    ecs_urls.url_paths["{0}/$"] = EcsResponse.bound_to(engine, scene.zones).dispatch
    original = IAMRequestBase._create_aws_request

    def create_aws_request(self: IAMRequestBase) -> Any:
        request = original(self)
        if self._method in ("GET", "HEAD", "DELETE"):
            request.data = self._body or b""  # moto signs the parsed query in place of an empty body
        return request

    IAMRequestBase._create_aws_request = create_aws_request


def _serve_api(settings: Settings) -> None:
    app = guarded(DomainDispatcherApplication(create_backend_app))
    inside = socket.create_server((GATEWAY, API_PORT), backlog=128)
    for host, port, descriptor in (
        ("127.0.0.1", settings.api_port, settings.api),
        (GATEWAY, API_PORT, inside.detach()),
    ):
        _start(make_server(host, port, app, threaded=True, fd=descriptor).serve_forever)


def _write_credentials(settings: Settings, scene: Scene, admin: Keys) -> None:
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{settings.api_port}",
        "AWS_DEFAULT_REGION": scene.region,
        "AWS_REGION": scene.region,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",  # else discover-instances asks a host `data-127.0.0.1`
        **admin.environment(),
    }
    file = settings.state.credentials
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as output:
        json.dump(environment, output, indent=2)


def _start(*loops: Callable[[], None]) -> None:
    """Run each loop in a thread; a loop that fails ends the process, and with it the emulator."""

    def kept(loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException:
            logging.exception("the emulator ends")
            os._exit(1)

    for loop in loops:
        threading.Thread(target=kept, args=(loop,), daemon=True).start()
