"""Malformed and smuggling requests, directly and behind nginx and haproxy: none ever runs a second request.

Every probe carries a second request in its tail. The server's access log says which requests ran: each has a line
with its route. A probe may run the request it openly is, never the one that it hides.
"""

import contextlib
import json
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess

import pytest

from conftest import DEADLINE_S, Server, eventually, new_key

HIDDEN = b"GET /api/v1/campaigns?limit=1 HTTP/1.1\r\nHost: hidden\r\nConnection: close\r\n\r\n"
HIDDEN_ROUTE = "/api/v1/campaigns"
POST = b"POST /webhooks/payment HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SIZE = len(HIDDEN)
SILENCE_S = 0.5


def length(text):
    return b"Content-Length: %s\r\n" % text


# name: bytes before the hidden request. Everything is refused when it is sent directly.
REFUSED = {
    # two lengths
    "two lengths": POST + length(b"0") + length(b"%d" % SIZE) + b"\r\n",
    "two equal lengths": POST + length(b"0") + length(b"0") + b"\r\n",
    "list of lengths": POST + length(b"0, 0") + b"\r\n",
    "list of different lengths": POST + length(b"0,%d" % SIZE) + b"\r\n",
    "length and chunked": POST + length(b"%d" % (SIZE + 5)) + CHUNKED + b"\r\n0\r\n\r\n",
    "chunked and length": POST + CHUNKED + length(b"%d" % (SIZE + 5)) + b"\r\n0\r\n\r\n",
    "length and unknown coding": POST + length(b"4") + b"Transfer-Encoding: xchunked\r\n\r\n",
    # spellings of a length
    "signed length": POST + length(b"+0") + b"\r\n",
    "negative length": POST + length(b"-1") + b"\r\n",
    "negative zero": POST + length(b"-0") + b"\r\n",
    "leading zeros": POST + length(b"00") + b"\r\n",
    "hexadecimal length": POST + length(b"0x0") + b"\r\n",
    "fractional length": POST + length(b"0.0") + b"\r\n",
    "length with an exponent": POST + length(b"0e0") + b"\r\n",
    "length with a tail": POST + length(b"0 x") + b"\r\n",
    "length in quotes": POST + length(b'"0"') + b"\r\n",
    "length in other digits": POST + length("٠".encode()) + b"\r\n",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "length beyond 64 bits": POST + length(b"18446744073709551616") + b"\r\n",
    "length that wraps to zero": POST + length(b"340282366920938463463374607431768211456") + b"\r\n",
    # spellings of chunked
    "coding twice": POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
    "coding in a list": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "coding after another": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunked with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked with a parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST /webhooks/payment HTTP/1.0\r\nHost: x\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    # header lines
    "space before the colon": POST + b"Content-Length : %d\r\n\r\n" % SIZE,
    "tab before the colon": POST + b"Content-Length\t: %d\r\n\r\n" % SIZE,
    "space before chunked's colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "space in a name": GET + b"A B: c\r\n\r\n",
    "control in a name": GET + b"A\x01: c\r\n\r\n",
    "NUL in a name": GET + b"Content-Length\0: %d\r\n\r\n" % SIZE,
    "letter beyond ASCII in a name": GET + "Ü: c\r\n\r\n".encode(),
    "no name": GET + b": c\r\n\r\n",
    "no colon": GET + b"Content-Length %d\r\n\r\n" % SIZE,
    "NUL in a value": GET + b"X: a\0b\r\n\r\n",
    "control in a value": GET + b"X: a\x08b\r\n\r\n",
    "bare carriage return in a value": POST + b"X: a\rContent-Length: %d\r\n\r\n" % SIZE,
    "bare line feed in a value": POST + b"X: a\nContent-Length: %d\r\n\r\n" % SIZE,
    "folded line": GET + b"X: a\r\n b\r\n\r\n",
    "folded line of a tab": GET + b"X: a\r\n\tContent-Length: %d\r\n\r\n" % SIZE,
    "folded first line": b"GET /health HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n",
    "line feeds alone": b"GET /health HTTP/1.1\nHost: x\n\n",
    "last line feed alone": b"GET /health HTTP/1.1\r\nHost: x\r\n\n",
    # hosts
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "two equal hosts": b"GET /health HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "empty host": b"GET /health HTTP/1.1\r\nHost:\r\n\r\n",
    "host with a path": b"GET /health HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "host with a user": b"GET /health HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "list of hosts": b"GET /health HTTP/1.1\r\nHost: a, b\r\n\r\n",
    # first lines
    "absolute target": b"GET http://x/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "target of an authority": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "target without a slash": b"GET health HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the target": b"GET /health\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "space in the target": b"GET /health /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab in the target": b"GET /he\talth HTTP/1.1\r\nHost: x\r\n\r\n",
    "beyond ASCII in the target": "GET /hëalth HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "fragment in the target": b"GET /health#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "backslash in the target": b"GET \\health HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab after the method": b"GET\t/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "space after the version": b"GET /health HTTP/1.1 \r\nHost: x\r\n\r\n",
    "control in the method": b"GE\x01T /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"GET /health\r\n\r\n",
    "version 0.9": b"GET /health HTTP/0.9\r\nHost: x\r\n\r\n",
    "version 1.2": b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n",
    "version 2.0": b"GET /health HTTP/2.0\r\nHost: x\r\n\r\n",
    "version of many digits": b"GET /health HTTP/1.01\r\nHost: x\r\n\r\n",
    "small letters in the version": b"GET /health http/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 154 + b"\r\n\r\n",
    # chunks
    "bad chunk size": POST + CHUNKED + b"\r\nzz\r\n\r\n",
    "empty chunk size": POST + CHUNKED + b"\r\n\r\n0\r\n\r\n",
    "signed chunk size": POST + CHUNKED + b"\r\n+0\r\n\r\n",
    "chunk size with a prefix": POST + CHUNKED + b"\r\n0x0\r\n\r\n",
    "negative chunk size": POST + CHUNKED + b"\r\n-1\r\n\r\n",
    "chunk size that wraps": POST + CHUNKED + b"\r\n10000000000000000\r\n\r\n",
    "space before a chunk size": POST + CHUNKED + b"\r\n 0\r\n\r\n",
    "chunk longer than its size": POST + CHUNKED + b"\r\n1\r\nabc\r\n0\r\n\r\n",
    "trailers": POST + CHUNKED + b"\r\n0\r\nHost: y\r\n\r\n",
    "trailing length": POST + CHUNKED + b"\r\n0\r\nContent-Length: %d\r\n\r\n" % SIZE,
}

# Well formed, and whole with the hidden request inside: it is their body, or never comes.
SWALLOWED = {
    "body of a get": GET + length(b"%d" % SIZE) + b"\r\n",
    "body of an unknown path": b"POST /nothing HTTP/1.1\r\nHost: x\r\n" + length(b"%d" % SIZE) + b"\r\n",
    "body of a head": b"HEAD /health HTTP/1.1\r\nHost: x\r\n" + length(b"%d" % SIZE) + b"\r\n",
    "body of options": b"OPTIONS /health HTTP/1.1\r\nHost: x\r\n" + length(b"%d" % SIZE) + b"\r\n",
    "body of a webhook": POST + length(b"%d" % SIZE) + b"\r\n",
    "body in a chunk": POST + CHUNKED + b"\r\n%x\r\n" % SIZE,
    "body of the wrong media type": b"POST /api/v1/pledges HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
                                    + length(b"%d" % SIZE) + b"\r\n",
    "expected body": GET + b"Expect: 100-continue\r\n" + length(b"%d" % SIZE) + b"\r\n",
    "upgrade to HTTP/2": GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
                         + length(b"%d" % SIZE) + b"\r\n",
    "unknown expectation": GET + b"Expect: 200-ok\r\n" + length(b"%d" % SIZE) + b"\r\n",
    "chunk extension": POST + CHUNKED + b"\r\n%x;a=b;c=\"d\"\r\n" % SIZE,
    "capital chunk size": POST + b"Transfer-Encoding: CHUNKED\r\n\r\n%X\r\n" % SIZE,
    "ten thousand chunks": POST + CHUNKED + b"\r\n" + b"1\r\na\r\n" * 10000 + b"%x\r\n" % SIZE,
    "a length too large": POST + length(b"10000000") + b"\r\n",
}


class Target:
    """A server with what stands in front of it."""

    def __init__(self, server, port, name):
        self.server, self.port, self.name = server, port, name

    def send(self, data, shut=True):
        """Everything that comes back. A proxy gives up a caller that has closed its half: that comes after an answer,
        or after a silence."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S) as peer:
            out = b""
            try:
                peer.sendall(data)
                if shut:
                    if self.name != "direct" and select.select([peer], [], [], SILENCE_S)[0]:
                        out = peer.recv(65536)
                    peer.shutdown(socket.SHUT_WR)
                while piece := peer.recv(65536):
                    out += piece
            except OSError:   # reset while sending or reading: what came is what counts
                pass
            return out

    def lines(self):
        return [json.loads(line) for line in self.server.log().splitlines() if '"event":"request"' in line]

    def ran(self, data, shut=True):
        """What the server did with these bytes: the answer, and a line for each request it saw."""
        before = len(self.lines())
        out = self.send(data, shut)
        # A request of our own comes last: what the probe made run has its line before it.
        mark = "mark-" + new_key()
        assert self.server.get("/health", headers={"X-Request-Id": mark}).status == 200
        eventually(lambda: any(line["request_id"] == mark for line in self.lines()), "the last line")
        return out, [line for line in self.lines()[before:] if line["request_id"] != mark]


@contextlib.contextmanager
def free_port():
    """A port that is the proxy's: this socket never listens, and nobody else may have it meanwhile."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


def wait_port(process, port):
    def accepts():
        assert process.poll() is None, "the proxy ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False
    eventually(accepts, "the proxy's port")


NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream server {{ server 127.0.0.1:{port}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{listen} reuseport;
        location / {{
            proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $host; proxy_set_header X-Request-Id proxy-$request_id;
            proxy_request_buffering {buffering};
        }}
    }}
}}
"""

HAPROXY = """
global
    maxconn 256
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    option http-keep-alive
    http-reuse always
frontend front
    bind 127.0.0.1:{listen}
    http-request set-header X-Request-Id proxy-%[uuid()]
    default_backend back
backend back
    server server 127.0.0.1:{port}
"""


def find_program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server("--database", str(tmp_path_factory.mktemp("probes") / "book.db"), "--connections", "10000")
    yield server
    assert server.stop() == 0, server.log()


@pytest.fixture(scope="module", params=["direct", "nginx", "nginx streaming", "haproxy"])
def target(request, server, tmp_path_factory):
    if request.param == "direct":
        yield Target(server, server.port, request.param)
        return
    program = find_program(request.param.split()[0])
    if not program:
        pytest.skip(f"{request.param} is not installed")
    folder = pathlib.Path(tmp_path_factory.mktemp(request.param.replace(" ", "-")))
    config = folder / "config"
    with free_port() as listen:
        if "nginx" in request.param:
            config.write_text(NGINX.format(folder=folder, port=server.port, listen=listen,
                                           buffering="off" if "streaming" in request.param else "on"))
            command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
        else:
            config.write_text(HAPROXY.format(port=server.port, listen=listen))
            command = [program, "-db", "-f", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_port(process, listen)
            yield Target(server, listen, request.param)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


def hidden_ran(lines):
    return [line for line in lines if line["route"] == HIDDEN_ROUTE]


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_request_never_runs_the_one_it_hides(target, name):
    out, lines = target.ran(REFUSED[name] + HIDDEN)
    if target.name != "direct":   # it may mend what it understands, and see a second request in these bytes itself
        assert unsent(lines) == [], (out, lines)
        return
    assert hidden_ran(lines) == [] and b'"campaigns"' not in out, (out, lines)
    # libmicrohttpd 0.9.75 writes the head of its own refusal of a Content-Length twice, and closes.
    heads = re.findall(rb"HTTP/1\.1 (\d{3}) ", out)
    assert all(head[:1] == b"4" or head == b"505" for head in heads) and len(set(heads)) <= 1, out
    assert len(lines) <= 1 and all(line["status"] == 0 or line["status"] >= 400 for line in lines), lines


def unsent(lines):
    """What ran without having been sent by the proxy, which marks each request that it sends."""
    return [line for line in lines if not line["request_id"].startswith("proxy-") and line["route"] != "-"]


@pytest.mark.parametrize("name", SWALLOWED)
def test_a_body_is_never_read_as_a_request(target, name):
    out, lines = target.ran(SWALLOWED[name] + HIDDEN)
    assert hidden_ran(lines) == [] and b'"campaigns"' not in out, (out, lines)
    assert len(lines) <= 1 and (target.name == "direct" or unsent(lines) == []), lines


def test_what_follows_a_refused_head_is_dropped(target):
    data = b"".join(b"GET /health HTTP/1.1\r\nHost: x\r\n%s\r\n" % (b"A B: c\r\n" if number == 1 else b"")
                    for number in range(4))
    out, lines = target.ran(data + HIDDEN, shut=False)
    assert hidden_ran(lines) == [] and [line["status"] for line in lines][:1] == [200], (out, lines)
    assert sum(line["status"] == 200 for line in lines) == 1, lines


def test_good_requests_in_a_row_are_answered_in_order(target):
    data = b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"/health", b"/nothing", b"/health"))
    out, lines = target.ran(data + HIDDEN, shut=False)
    assert [line["status"] for line in lines] == [200, 404, 200, 200], (out, lines)
    assert out.count(b"HTTP/1.1 200") == 3 and out.count(b"HTTP/1.1 404") == 1


def test_a_head_in_single_bytes_is_read(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /health HTTP/1.1\r\nHost: x\r\nX:1\r\nY: \t2 \r\nZ:\r\nConnection: close\r\n\r\n":
            peer.send(bytes([byte]))
        out = b""
        while piece := peer.recv(65536):
            out += piece
    assert out.startswith(b"HTTP/1.1 200 OK\r\n"), out


def test_refusals_of_broken_heads_name_the_rule(server):
    words = {"two lengths": b"more than one Content-Length", "length and chunked": b"beside a Transfer-Encoding",
             "folded line": b"folded line", "bare line feed in a value": b"bare line feed",
             "NUL in a value": b"NUL", "two hosts": b"exactly one Host", "absolute target": b"must be a path",
             "space in a name": b"a header name", "version 1.2": b"HTTP/1.1 or HTTP/1.0"}
    target = Target(server, server.port, "direct")
    for name, word in words.items():
        out = target.send(REFUSED[name] + HIDDEN)
        assert out.startswith(b"HTTP/1.1 400") and b"http_bad_request" in out and word in out, (name, out)
