"""Where events may be sent: nothing but public addresses, whatever the name, at registration and at the connection."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest

from decision_service.errors import InputError
from decision_service.webhooks.reach import MOST_AT_ONCE, Promptly, Reach
from decision_service.webhooks.sending import Sender

PRIVATE = (
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1",
    "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:1::1", "2001:db8::1",
    "3fff::1",
)  # fmt: skip
GOOD = "https://bank.example/events?to=us"


def reach(*addresses: str, **options: object) -> Reach:
    return Reach(resolve=lambda host, port: addresses, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    for found in ((address,), ("93.184.216.34", address)):
        with pytest.raises(InputError, match="not public"):
            reach(*found).check(GOOD)
        with pytest.raises(InputError, match="not public"):
            reach(*found).addresses("bank.example", 443)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_public_addresses_are_admitted(address: str) -> None:
    reach(address).check(GOOD)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/",
        "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://localhost/", "https://[fd00:ec2::254]/",
        "https://169.254.169.254/latest/meta-data", "http://93.184.216.34/", "ftp://93.184.216.34/", "//93.184.216.34",
        "https://u:p@93.184.216.34/", "https://93.184.216.34@127.0.0.1/", "https://93.184.216.34:22/", "https://",
        "https://93.184.216.34:0/", "https://93.184.216.34:99999/", "https://93.184.216.34/#x", "https://a\\b/",
        "https://93.184.216.34/\r\nHost: x", "https://exämple.cn/", " https://93.184.216.34/", "", "x" * 2_000,
        "https://no-such-name.invalid/",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(InputError):
        Reach().check(url)


def test_loopback_only_by_a_setting_and_nothing_else_by_it() -> None:
    local = Reach.from_environ({"DECISION_WEBHOOK_LOCAL": "yes"})
    local.check("http://127.0.0.1:8081/")
    for url in ("http://10.0.0.1/", "http://93.184.216.34/", "https://169.254.169.254/"):
        with pytest.raises(InputError):
            local.check(url)
    assert Reach.from_environ({"DECISION_WEBHOOK_PORTS": "443 8443"}).ports == {443, 8443}
    for bad in ({"DECISION_WEBHOOK_LOCAL": "1"}, {"DECISION_WEBHOOK_PORTS": "x"}, {"DECISION_WEBHOOK_PORTS": "0"}):
        with pytest.raises(InputError, match="DECISION_WEBHOOK"):
            Reach.from_environ(bad)


def test_who_tries_it_on_one_machine_is_told_the_setting() -> None:
    for url in ("http://127.0.0.1:8081/", "https://localhost/", "http://[::1]:9/"):
        with pytest.raises(InputError, match="DECISION_WEBHOOK_LOCAL=yes"):
            Reach().check(url)


def test_a_name_that_changes_after_the_check_is_not_connected_to() -> None:
    """The address to connect to is looked up once and checked itself: rebinding between the two changes nothing."""
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.settimeout(0.3)
        port = inside.getsockname()[1]
        answers = iter([["93.184.216.34"], ["127.0.0.1"]])
        rebound = Reach(ports=frozenset({port}), resolve=lambda host, _: next(answers))
        reply = Sender(rebound).post(f"https://bank.example:{port}/", {}, b"{}")
        assert reply.status is None and "not public" in reply.error
        with pytest.raises(TimeoutError):
            inside.accept()


@pytest.mark.parametrize("drip", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_a_receiver_that_drips_is_left_in_time(drip: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    connection.sendall(drip)
                    for _ in range(100):
                        connection.sendall(b"x")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=answer, daemon=True).start()
        began = time.monotonic()
        reply = Sender(Reach(local=True), seconds=0.4).post(f"http://127.0.0.1:{server.getsockname()[1]}/", {}, b"{}")
        assert not reply.is_accepted and time.monotonic() - began < 2


def test_a_name_whose_server_is_silent_holds_up_nobody_for_long() -> None:
    released = threading.Event()

    def silent(host: str, port: int) -> list[str]:
        released.wait(60)
        return ["1.1.1.1"]

    promptly, began = Promptly(silent, seconds=0.01), time.monotonic()
    for _ in range(MOST_AT_ONCE):
        with pytest.raises(OSError, match="no answer"):
            promptly("silent.example", 443)
    with pytest.raises(OSError, match="too many names"):
        promptly("another.example", 443)
    assert time.monotonic() - began < 30, "none of them was waited for"
    released.set()
    for _ in range(1_000):
        with suppress(OSError):
            assert promptly("silent.example", 443) == ["1.1.1.1"]
            return
        time.sleep(0.01)
    pytest.fail("names are never looked up again")


def test_who_looks_promptly_is_told_the_same() -> None:
    assert Promptly(lambda host, port: ["1.1.1.1"], seconds=60)("a.example", 443) == ["1.1.1.1"]
    for wrong in (OSError("no such name"), UnicodeError("label too long")):
        def fails(host: str, port: int, wrong: Exception = wrong) -> list[str]:
            raise wrong

        with pytest.raises(InputError, match="has no address"):
            Reach(resolve=Promptly(fails, seconds=60)).check(GOOD)
