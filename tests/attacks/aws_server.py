"""AWS for these tests, as a process of its own: moto with signatures verified, on a free loopback port.

Prints its port and the control plane's credentials as one line of JSON, then serves until its standard input closes.
Beside AWS it answers `/scene/session?role=ARN&session=NAME`: credentials of a role session, which over the API moto
gives to nobody but AWS principals. Tasks have what ECS gives them and moto does not: ids of 32 hex digits and a zone.
"""

import json
import os
import sys
import threading
import uuid

os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"  # read by moto when it is imported

from urllib.parse import parse_qs

from moto.ecs import models as ecs
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import make_server

ACCOUNT = "123456789012"
MAY = ["iam:*", "ecs:*", "ec2:*", "sts:GetCallerIdentity"]


def session(query):
    role, name = query["role"][0], query["session"][0]
    account, partition = role.split(":")[4], role.split(":")[1]
    made = sts_backends[account][partition].assume_role(
        region_name={"aws": "us-east-1", "aws-cn": "cn-north-1"}[partition],
        role_session_name=name,
        role_arn=role,
        policy="",
        duration=3600,
        external_id="",
    )
    return {"access_key": made.access_key_id, "secret_key": made.secret_access_key, "token": made.session_token}


def user(name):
    iam = iam_backends[ACCOUNT]["aws"]
    iam.create_user("us-east-1", name)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": MAY, "Resource": "*"}]}
    iam.put_user_policy(name, "all", json.dumps(policy))
    key = iam.create_access_key(name)
    return {"access_key": key.access_key_id, "secret_key": key.secret_access_key}


def real_tasks():
    before = ecs.Task.__init__

    def init(self, cluster, *args, **kwargs):
        before(self, cluster, *args, **kwargs)
        self.id = uuid.uuid4().hex
        self.availability_zone = f"{cluster.region_name}a"
        self._transitions = []  # stays RUNNING however often it is described

    ecs.Task.__init__ = init


def application(aws):
    def serve(environ, start_response):
        if environ["PATH_INFO"] != "/scene/session":
            return aws(environ, start_response)
        body = json.dumps(session(parse_qs(environ["QUERY_STRING"]))).encode()
        start_response("200 OK", [("content-type", "application/json")])
        return [body]

    return serve


def main():
    real_tasks()
    server = make_server("127.0.0.1", 0, application(DomainDispatcherApplication(create_backend_app)), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port, **user("control-plane")}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
