"""The control plane's own questions to AWS: botocore clients, used in threads, their errors made ours.

Endpoints come from botocore's tables or the one override, never from the environment.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)

from outrig.attest.refusals import AwsUnavailable, NoCredentials, Refused

Answer = Mapping[str, Any]
_OWN_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "AuthFailure",
}
_BUSY = {"RequestLimitExceeded", "TooManyRequestsException"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


class AnswerError(Exception):
    """AWS answered with an error that is an answer, such as "no such role". `code` is AWS's."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Aws:
    """Calls AWS as the control plane itself. One client per service and region, made when first needed."""

    def __init__(self, endpoint_url: str = "") -> None:
        self._endpoint_url = endpoint_url or None
        self._session = botocore.session.Session()
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._none_until = 0.0
        for name in ("botocore", "urllib3"):  # their DEBUG output holds credentials
            logging.getLogger(name).setLevel(max(logging.getLogger(name).level, logging.INFO))

    async def call(self, service: str, region: str, action: str, **parameters: object) -> Answer:
        """The answer of one call; `action` as botocore spells it. Raises AnswerError, AwsUnavailable, NoCredentials."""

        def run() -> Answer:
            answer: Answer = getattr(self._client(service, region), action)(**parameters)
            return answer

        try:
            return await asyncio.to_thread(run)
        except ClientError as error:
            raise _translated(error, f"{service}:{action}") from None
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
            raise _no_credentials(str(error)) from None
        except BotoCoreError as error:
            problem = f"{service.upper()} cannot be reached now"
            raise AwsUnavailable("aws", problem, retry_after=5, detail=f"{type(error).__name__}: {error}") from None

    async def has_credentials(self) -> bool:
        """Whether there are some; they are not tried. Looking for those that do not exist takes seconds."""
        try:
            return await asyncio.to_thread(self._session.get_credentials) is not None
        except BotoCoreError:
            return False  # a configuration that cannot be read, a program that fails

    def _client(self, service: str, region: str) -> Any:
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._make_client(service, region)
            return self._clients[service, region]

    def _make_client(self, service: str, region: str) -> Any:
        config = Config(
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 2},
            proxies={},
            ignore_configured_endpoint_urls=True,
        )
        self._require_credentials()
        return self._session.create_client(service, region, endpoint_url=self._endpoint_url, config=config)

    def _require_credentials(self) -> None:
        """Looking for credentials that do not exist takes seconds, so that answer is kept for a while."""
        if time.monotonic() < self._none_until:
            raise NoCredentialsError
        if self._session.get_credentials() is None:
            self._none_until = time.monotonic() + 15
            raise NoCredentialsError


def _translated(error: ClientError, call: str) -> Refused | AnswerError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _OWN_CREDENTIALS:
        return _no_credentials(f"{call}: {code}")
    if code in _DENIED or status == 403:
        problem = f"the control plane may not call {call}"
        return AwsUnavailable("aws", problem, "grant it in its IAM role", retry_after=30)
    if status >= 500 or status == 429 or "hrottl" in code or code in _BUSY:
        return AwsUnavailable("aws", f"AWS cannot answer {call} now", retry_after=10, detail=code)
    return AnswerError(code)


def _no_credentials(detail: str) -> NoCredentials:
    problem = "the control plane has no working AWS credentials of its own, so it cannot check tasks"
    return NoCredentials("aws", problem, "give the control plane an AWS role", retry_after=30, detail=detail)
