"""Joining a running cluster: whether it is there and takes our token is found out in seconds, before Ray tries."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import ray
from ray._common.utils import get_ray_address_file
from ray._private.authentication.authentication_token_setup import AuthenticationTokenLoader
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

from ..errors import ConfigError, first_line
from ..train.allocator import ENVIRONMENT

ANSWER_SECONDS = 5.0
HOW_TO_GIVE_A_TOKEN = (
    "set RAY_AUTH_MODE=token and put the cluster's token into ~/.ray/auth_token, RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
)


def cluster_to_join(address: str | None) -> str | None:
    """Give the address of the cluster that ``--address`` or, inside a Ray job, the environment names, if any."""
    return address if address is not None else os.environ.get("RAY_ADDRESS")


def last_started_cluster() -> tuple[str, Path] | None:
    """Give the address of the cluster that was started last on this machine, as Ray keeps it in a file, and that file.

    ``ray stop`` removes it; where a cluster was killed it stays, and Ray's state API, which Ray Train asks when a step
    ends, waits there for an answer.
    """
    trace = Path(get_ray_address_file(None))
    return (trace.read_text(encoding="utf-8").strip(), trace) if trace.exists() else None


def join(address: str) -> None:
    """Make this process a driver of the cluster at ``address``, which is ``HOST:PORT`` or ``auto``.

    Raises ConfigError in one line: no such place, nothing listens there, no token, or a token that is refused.
    """
    if not address or "://" in address:
        raise ConfigError(
            f"--address {address!r} is not a cluster's head: give HOST:PORT (the port is usually 6379) or auto, "
            f"or send the sweep there with `ray job submit --address {address or 'URL'} -- bistil-ray sweep ...`"
        )
    _require_token(address)
    if address != "auto":
        _knock(address)
    # What a job was submitted with is in its environment, and Ray refuses to be told the same twice.
    missing = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": missing})
    except (ConnectionError, RuntimeError, ValueError) as problem:
        raise ConfigError(f"--address {address!r} cannot be joined: {first_line(problem)}") from problem


def _require_token(address: str) -> None:
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    if mode == "disabled":
        return  # without looking for a token: a driver that has read one would ask the cluster's own calls for it
    if mode == "token" and AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        return
    missing = "there is no token" if mode == "token" else "RAY_AUTH_MODE is not set"
    raise ConfigError(
        f"--address {address!r} cannot be joined: {missing}; {HOW_TO_GIVE_A_TOKEN} "
        "(RAY_AUTH_MODE=disabled for a cluster that asks for none)"
    )


def _knock(address: str) -> None:
    """Ask the head for its id: Ray itself would try for minutes where nothing listens, and 20 seconds if refused."""
    channel = init_grpc_channel(address)
    ask = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).GetClusterId
    try:
        ask(gcs_service_pb2.GetClusterIdRequest(), timeout=ANSWER_SECONDS)
    except grpc.RpcError as problem:
        if problem.code() == grpc.StatusCode.UNAUTHENTICATED:
            raise ConfigError(
                f"--address {address!r} refuses the token of this process: {HOW_TO_GIVE_A_TOKEN}"
            ) from problem
        raise ConfigError(
            f"--address {address!r} cannot be joined: no Ray head answers there ({problem.code().name.lower()}); "
            "give HOST:PORT of one, such as 10.0.0.5:6379"
        ) from problem
    finally:
        channel.close()
