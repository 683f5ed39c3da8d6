"""Joining a Ray cluster, or starting one on this machine; and whether its nodes have what this one has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from edgeconv import folder as files
from edgeconv.runtime.errors import CheckError, InputError, UsageError

CONNECT_S = 5.0
"""How long a machine of the cluster may take to accept a connection."""
HEALTH_S = 30.0
"""How long joining the cluster may take."""
JOIN = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level='CRITICAL')"
CHECK_S = 120.0
"""How long the nodes may take to say what is installed; they may be busy, or still start."""
PACKAGES = ("numpy", "tensorflow", "keras", "onnxruntime")
"""Whose versions decide results."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` would have every worker install everything anew
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray warns of otherwise
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its native side writes past Python; what goes wrong is said here
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}


def import_ray() -> Any:
    """Return the package, without its usage statistics and its noise; raises UsageError where it is not installed."""
    os.environ.update(QUIET)
    try:
        import ray
    except ImportError:
        raise UsageError('--engine ray needs Ray; install it with `pip install "edgeconv[scale]"`') from None
    return ray


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[Any]:
    """Give Ray, joined to the cluster at `address` or started on this machine and stopped afterwards.

    A Ray that this process has joined before is used as it is, and left running.
    Raises UsageError without Ray, InputError for a cluster that cannot be reached, CheckError for one with other
    versions than are here.
    """
    ray = import_ray()
    if ray.is_initialized():
        check_versions(ray)
        yield ray
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    try:
        if address is None:
            cores = len(os.sched_getaffinity(0)) if workers is None else workers
            with _silent_stderr():
                ray.init("local", num_cpus=cores, include_dashboard=False, **options)
        else:
            check_reachable(address)
            try:
                with _silent_stderr():
                    ray.init(address, **options)
            except (ConnectionError, RuntimeError, ValueError) as error:  # RuntimeError: another Ray or Python
                raise unreachable(address, str(error)) from None
        check_versions(ray)
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep stderr from what native code writes there: Ray begins by saying which log level it was given."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def check_reachable(address: str) -> None:
    """Raise InputError in bounded time where no Ray cluster answers; Ray itself would try for minutes."""
    if address != "auto":
        parts = urlsplit(address if "://" in address else f"//{address}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port or parts.scheme not in ("", "ray"):
            raise UsageError(f"--address is {address!r}; give auto, host:port or ray://host:port")
        try:
            socket.create_connection((host, port), CONNECT_S).close()
        except OSError as error:
            raise unreachable(address, str(error)) from None
        if parts.scheme == "ray":
            return  # Ray's client gives up on its own, after half a minute
    # A process of its own, because what hangs in Ray's libraries cannot be interrupted; and its native side told to
    # speak, because only that says why it does not join.
    said_of = {**os.environ, **QUIET, "RAY_BACKEND_LOG_LEVEL": "warning"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", JOIN, address], capture_output=True, timeout=HEALTH_S, env=said_of, check=False
        )
    except subprocess.TimeoutExpired:
        raise unreachable(address, f"nothing that speaks Ray answered within {HEALTH_S:.0f} s") from None
    if done.returncode:
        said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
        if "AuthToken" in said or "Unauthenticated" in said:
            raise unreachable(
                address,
                "it wants a token: set RAY_AUTH_MODE=token, with the cluster's token in ~/.ray/auth_token, or in "
                "RAY_AUTH_TOKEN",
            )
        raise unreachable(address, said.splitlines()[-1] if said else "Ray says nothing of why")


def unreachable(address: str, why: str) -> InputError:
    """Return the error for a cluster that does not answer."""
    return InputError(
        f"no Ray cluster can be joined at {address}: {' '.join(why.split())}; start one with `ray start --head`, or "
        "leave --address away to use this machine"
    )


def versions_here() -> dict[str, str]:
    """Return the versions that decide results on this machine."""
    return {"python": ".".join(map(str, sys.version_info[:3])), **files.versions(*PACKAGES)}


def check_versions(ray: Any) -> None:
    """Raise CheckError where a node has another version than this machine of anything that decides results."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = versions_here()

    # Defined here, so that it travels as it is: a node may have no edgeconv to import it from.
    def versions_there(packages: Sequence[str]) -> dict[str, str]:
        import sys
        from importlib.metadata import PackageNotFoundError, version

        found = {"python": ".".join(map(str, sys.version_info[:3]))}
        try:
            from edgeconv import __version__

            found["edgeconv"] = __version__
        except ImportError:
            pass
        for package in packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found

    ask = ray.remote(num_cpus=0, max_retries=0)(versions_there)
    asked = {
        node["NodeManagerAddress"] + ":" + str(node["NodeManagerPort"]): ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(PACKAGES)
        for node in ray.nodes()
        if node["Alive"]
    }
    for name, reference in asked.items():
        try:
            there = ray.get(reference, timeout=CHECK_S)
        except ray.exceptions.RayError as error:
            raise CheckError(f"node {name} does not say what it has installed: {type(error).__name__}") from None
        if found := differences(here, there):
            raise CheckError(
                f"node {name} has {found}: results would depend on the machine; install the same on every node"
            )


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Return in words what another machine has instead of what is here; what is not here does not matter."""
    return ", ".join(
        f"{name} {there.get(name, 'not installed')} (here {version})"
        for name, version in here.items()
        if there.get(name) != version
    )
