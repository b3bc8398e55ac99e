"""Ray, imported without its own warnings, and started here or joined where a cluster answers in time.

Authentication is as the environment says (RAY_AUTH_MODE, RAY_AUTH_TOKEN, set before Ray is imported); telemetry is
off. Knows nothing of learning.
"""

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray starts
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a worker without a GPU leaves CUDA's variables alone
try:
    with warnings.catch_warnings():  # Ray imports what it has itself deprecated; what it loads here stays loaded
        warnings.simplefilter("ignore")
        import ray
        import ray.rllib.algorithms.ppo
except ImportError as missing:
    raise ImportError(f"RLlib is not installed ({missing}): pip install 'wavetank[research]'") from missing

ANSWER_S = 10.0  # within which a port must answer; a cluster on the same network does so in milliseconds
ROOM_S = 60.0  # a training that was just closed may still hold its CPUs
SETTINGS = 4  # the type of the frame with which either side of HTTP/2, and so of gRPC, begins (RFC 9113, 3.4)
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])


def start_ray(address: str | None = None, num_cpus: int | None = None) -> None:
    """Join the cluster at `address` (`host:port`, or `auto` for the one of this machine); without one, start Ray here.

    A Ray that runs already is taken as it is, unless it is another cluster than the one named.
    """
    if ray.is_initialized():
        joined = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", joined):
            raise ConnectionError(f"this process is in the Ray cluster at {joined} already, not at {address}")
        return
    named = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if named not in (None, "auto") and not os.environ.get("RAY_USE_TLS"):
        check_answer(named)
    local = {} if address else {"num_cpus": num_cpus, "include_dashboard": False}
    with quiet():
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **local)
        except (RuntimeError, ConnectionError, ray.exceptions.RayError) as error:
            if address is None:
                raise
            reason = str(error).strip().split("\n")[0]
            hint = "is RAY_AUTH_TOKEN that of the cluster?"
            raise ConnectionError(f"no Ray cluster could be joined at {address}: {reason} ({hint})") from error


def stop_ray() -> None:
    """Leave the cluster; one that was started here ends."""
    ray.shutdown()


def check_room(wanted: int, within_s: float = ROOM_S) -> None:
    """Wait until `wanted` CPUs are free; ValueError where there are not so many, or not in time.

    Ray itself would wait without end, and say nothing.
    """
    there = int(ray.cluster_resources().get("CPU", 0))
    if wanted > there:
        raise ValueError(f"runners and learners ask for {wanted} CPUs, the Ray cluster has {there}")
    deadline = monotonic() + within_s
    while (free := int(ray.available_resources().get("CPU", 0))) < wanted:
        if monotonic() > deadline:
            raise ValueError(
                f"runners and learners ask for {wanted} CPUs, {free} of the Ray cluster's {there} are free"
            )
        sleep(0.1)


def check_answer(address: str) -> None:
    """Raise ConnectionError where nothing at `host:port` speaks as Ray does.

    Ray would try for minutes where a port is open and silent; a gRPC server greets at once.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConnectionError(f"ray address {address!r} is neither host:port nor auto")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_S) as line:
            line.sendall(GREETING)
            answer = line.recv(4)
    except OSError as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address} ({error}); `ray start --head` begins one"
        ) from error
    if len(answer) < 4 or answer[3] != SETTINGS:
        raise ConnectionError(f"what answers at {address} is no Ray cluster")


@contextmanager
def quiet() -> Iterator[None]:
    """Upstream warns of its own deprecations and of its default stack, and logs what is told here by exceptions."""
    noisy = [logging.getLogger(name) for name in ("ray", "ray.rllib")]
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
