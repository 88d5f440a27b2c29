"""The service behind real sockets, and clients that are slow, gone, or wrong in HTTP itself."""

import json
import socket
import struct
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
from served_models import number_model  # noqa: F401  (a fixture)

from jaxmlp.serving import Limits, create_app
from jaxmlp.serving.connections import patient_protocol

uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn")
pytest.importorskip("starlette", reason="needs starlette")

HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class Serving:
    """A service in a thread, and the connections that a test makes to it."""

    def __init__(self, model, seconds):
        app = create_app(model, limits=Limits(seconds=1.0))
        config = uvicorn.Config(app, log_config=None, http=patient_protocol(seconds), ws="none")
        self.server, self.stack = uvicorn.Server(config), ExitStack()
        self.listener = socket.create_server(("127.0.0.1", 0))
        run = {"target": self.server.run, "kwargs": {"sockets": [self.listener]}, "daemon": True}
        self.thread = threading.Thread(**run)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *error):
        self.stack.close()
        self.server.should_exit = True
        self.thread.join(20)
        self.listener.close()
        assert not self.thread.is_alive()

    def connect(self):
        client = socket.create_connection(self.listener.getsockname())
        client.settimeout(20)
        return self.stack.enter_context(client)


def reset(client):
    """Go away without a word."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def request(row):
    body = json.dumps([row]).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def answer(client):
    """Status and content of the next answer; (0, None) of a connection that was ended."""
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            if not (part := client.recv(1)):
                return 0, None
            received += part
        length = int(received.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        body = b""
        while len(body) < length:
            body += client.recv(length - len(body))
        return int(received.split()[1]), json.loads(body)
    except ConnectionError:
        return 0, None


def test_who_sends_nothing_or_no_end_of_headers_is_ended(number_model):
    with Serving(number_model, 0.6) as service:
        idle, slow, asked = service.connect(), service.connect(), service.connect()
        slow.sendall(b"POST /predict HTTP/1.1\r\nX: ")
        begin = time.monotonic()
        while time.monotonic() - begin < 2:
            asked.sendall(request([5, 5, 5, 5]))  # who goes on asking is not
            assert answer(asked)[0] == 200
            try:
                slow.sendall(b"y")
            except ConnectionError:
                break
            time.sleep(0.1)
        assert time.monotonic() - begin < 2
        assert idle.recv(1) == b""
        asked.sendall(request([5, 5, 5, 5]))
        assert answer(asked)[0] == 200


def test_who_does_not_take_the_answer_is_ended(number_model):
    with Serving(number_model, 1.0) as service:
        client = service.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = json.dumps([[5, 5, 5, 5]] * 10_000).encode()
        call = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
        with pytest.raises(ConnectionError):
            client.sendall(call * 300)
        deadline = time.monotonic() + 5
        while service.server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not service.server.server_state.connections


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 100\r\n\r\n[[1", b"Transfer-Encoding: chunked\r\n\r\n4\r\n[[1,\r\n"],
)
@pytest.mark.parametrize("abrupt", [False, True])
def test_bodies_that_end_early_are_no_faults(number_model, framing, abrupt, caplog):
    with Serving(number_model, 20.0) as service:
        client = service.connect()
        client.sendall(HEAD + framing)
        time.sleep(0.1)
        if abrupt:
            reset(client)
        else:
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        other = service.connect()
        other.sendall(request([5, 5, 5, 5]))
        assert answer(other)[0] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_body_that_never_ends_is_told_in_time(number_model):
    with Serving(number_model, 20.0) as service:
        client = service.connect()
        client.sendall(HEAD + b"Content-Length: 100\r\n\r\n[[1")
        begin = time.monotonic()
        status, said = answer(client)
        assert (status, "took more than 1 seconds" in said["error"]) == (504, True)
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\xff\x80 garbage\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n[[1,1]",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n[[1",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n[[",
        HEAD + b"X: y\r\n" * 50_000 + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http_is_refused_and_ended(number_model, raw):
    with Serving(number_model, 20.0) as service:
        client, received = service.connect(), b""
        try:
            client.sendall(raw)
            while part := client.recv(65536):
                received += part
        except ConnectionError:
            pass
        assert not received or received.startswith(b"HTTP/1.1 400")
        other = service.connect()
        other.sendall(request([5, 5, 5, 5]))
        assert answer(other)[0] == 200


def test_who_goes_away_harms_nobody_who_stays(number_model):
    rows = np.random.default_rng(2).normal(5, 2, size=(16, 4)).round(3)
    wanted, wrong = number_model.predict(rows), []

    def stay(service, k):
        client = service.connect()
        for _ in range(20):
            client.sendall(request(rows[k].tolist()))
            status, said = answer(client)
            if status != 200 or not np.isclose(said["predictions"][0]["value"], wanted[k], 1e-5):
                wrong.append((status, said))

    def leave(service, k):
        for _ in range(20):
            client = service.connect()
            client.sendall(request(rows[k].tolist()) * 3)
            reset(client)

    with Serving(number_model, 20.0) as service:
        calls = [(stay if k % 2 else leave, k) for k in range(16)]
        threads = [threading.Thread(target=call, args=(service, k)) for call, k in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_paths_and_methods_that_are_not_answered_get_a_sentence(number_model):
    with Serving(number_model, 20.0) as service:
        client = service.connect()
        client.sendall(b"GET /predict HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(client) == (
            405, {"error": "GET '/predict' is not answered: method not allowed."},
        )  # fmt: skip
        client.sendall(b"GET /no%00%ff HTTP/1.1\r\nHost: x\r\n\r\n")
        status, said = answer(client)
        assert (status, said["error"].endswith("is not answered: not found.")) == (404, True)
