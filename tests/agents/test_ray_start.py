"""Addresses that no cluster answers at: one sentence within a bounded time, and Ray is not tried."""

import socket
from collections.abc import Iterator

import pytest

ray_start = pytest.importorskip("wavetank.agents.ray_start", exc_type=ImportError)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        line.listen()
        yield line


def address_of(line: socket.socket) -> str:
    return f"127.0.0.1:{line.getsockname()[1]}"


def test_a_closed_port_is_told(listener: socket.socket) -> None:
    address = address_of(listener)
    listener.close()
    with pytest.raises(ConnectionError, match=f"no Ray cluster answers at {address} .*refused.*`ray start --head`"):
        ray_start.check_answer(address)


def test_a_port_that_is_open_and_silent_is_told_after_a_bounded_wait(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_start, "ANSWER_S", 0.2)
    with pytest.raises(ConnectionError, match=r"no Ray cluster answers at .*timed out"):
        ray_start.check_answer(address_of(listener))


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "ray://head:port"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(ConnectionError, match=f"ray address '{address}' is neither host:port nor auto"):
        ray_start.check_answer(address)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_another_cluster_than_the_one_that_was_joined_is_refused() -> None:
    with pytest.raises(
        ConnectionError, match=r"this process is in the Ray cluster at .* already, not at 10\.0\.0\.1:6379"
    ):
        ray_start.start_ray("10.0.0.1:6379")
