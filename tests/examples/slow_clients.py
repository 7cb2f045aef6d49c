#!/usr/bin/env python3
"""Pledges while thousands of slow connections are held open.

    slow_clients.py [--connections N] [--seconds N] careforall-server

Three kinds of slow peers: in the first line, in the headers, in the body; each sends a byte now and then, and
whoever is closed comes again. Pledges are made one after the other, without them, beside them, and without them again;
their 99th percentile beside them must stay within twice the one without. Exit status 1: it did not.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time
import uuid

TOKEN = "0123456789abcdef0123456789abcdef-slow"
GOAL = 2.0
PIECES = [b"GET /health HTTP/1.1\r\nHost: x\r\nX: ", b"GET /hea",
          b"POST /api/v1/pledges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n"
          b"\r\n{"]


def start(binary, folder, connections):
    environment = {**os.environ, "CAREFORALL_ADMIN_TOKEN": TOKEN}
    server = subprocess.Popen([binary, "serve", "--database", f"{folder}/book.db", "--demo", "--quiet", "--listen",
                               "127.0.0.1:0", "--connections", str(connections + 500)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=environment, text=True)
    found = {}
    while "port" not in found:
        line = server.stdout.readline()
        if not line:
            sys.exit("slow_clients: the server did not start")
        for name, pattern in (("campaign", r"demo campaign (\S+)\n"), ("port", r"listening on http://[^:]+:(\d+)\n")):
            if match := re.fullmatch(pattern, line):
                found[name] = match[1]
    return server, int(found["port"]), found["campaign"]


class Slow(multiprocessing.Process):
    """Holds `count` slow connections until told to stop; a process, so that it takes no turns with who measures."""

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self.port, self.count, self.peers, self.opened = port, count, {}, 0
        self.full, self.over, self.made = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Value("i")

    def open(self):
        peer = socket.socket()
        # Sources of their own: one address has fewer ports than a test may need.
        peer.bind((f"127.0.0.{2 + self.opened % 50}", 0))
        peer.connect(("127.0.0.1", self.port))
        peer.setblocking(False)
        peer.send(PIECES[self.opened % len(PIECES)])
        self.peers[peer.fileno()] = peer
        self.poll.register(peer.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
        self.opened += 1

    def run(self):
        self.poll = select.epoll()
        while not self.over.is_set():
            for _ in range(min(50, self.count - len(self.peers))):
                self.open()
            if len(self.peers) >= self.count:
                self.full.set()
            for descriptor, _ in self.poll.poll(0.02, 500):
                self.poll.unregister(descriptor)
                self.peers.pop(descriptor).close()
            for descriptor in list(self.peers)[:20]:   # a byte from some of them, in turn
                peer = self.peers.pop(descriptor)
                self.peers[descriptor] = peer
                try:
                    peer.send(b"x")
                except OSError:
                    pass   # closed: the next poll says so
        self.made.value = self.opened


def pledges(port, campaign, seconds):
    """How long each pledge took, in milliseconds, sorted."""
    taken, end = [], time.monotonic() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while time.monotonic() < end:
        body = json.dumps({"campaign_id": campaign, "amount": {"minor": 2500, "currency": "EUR"}})
        began = time.monotonic()
        connection.request("POST", "/api/v1/pledges", body, {
            "Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())})
        answer = connection.getresponse()
        answer.read()
        taken.append((time.monotonic() - began) * 1000)
        if answer.status != 201:
            sys.exit(f"slow_clients: a pledge was answered {answer.status}")
    connection.close()
    return sorted(taken)


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def measure(options, folder):
    server, port, campaign = start(options.binary, folder, options.connections)
    slow = Slow(port, options.connections)
    try:
        pledges(port, campaign, 1)
        without = pledges(port, campaign, options.seconds / 2)
        slow.start()
        if not slow.full.wait(60):
            sys.exit("slow_clients: the connections were not made")
        during = pledges(port, campaign, options.seconds)
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
        resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024
        held = len(os.listdir(f"/proc/{server.pid}/fd"))
        slow.over.set()
        slow.join(30)
        without += pledges(port, campaign, options.seconds / 2)
        return sorted(without), during, slow.made.value, held, resident
    finally:
        if slow.is_alive():
            slow.terminate()
            slow.join(30)
        server.terminate()
        server.wait(30)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < options.connections + 200:
        print(f"slow_clients: only {hard} descriptors are allowed here")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        without, during, opened, held, resident = measure(options, folder)
    p99_without, p99_during = percentile(without, 0.99), percentile(during, 0.99)
    good = p99_during <= GOAL * p99_without
    print(f"# {opened} slow connections were made, {held} descriptors held at the end, {resident} MiB resident")
    print(f"# pledges without: {len(without)}, p50 {percentile(without, 0.5):.2f} ms, p99 {p99_without:.2f} ms")
    print(f"# pledges beside: {len(during)}, p50 {percentile(during, 0.5):.2f} ms, p99 {p99_during:.2f} ms")
    print(f"p99 of a pledge beside {options.connections} slow connections {p99_during / p99_without:.2f} x  <= {GOAL}"
          f"  {'pass' if good else 'MISS'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
