# SPDX-License-Identifier: MIT
"""An HTTP server on the loopback whose every answer a test decides, and a proxy in front of it."""

import http.client
import http.server
import select
import socket
import threading
import types
import urllib.parse


class Request(http.server.BaseHTTPRequestHandler):
    """What a test's function gets, with the ways to answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        with server.guard:
            server.requests.append(types.SimpleNamespace(path=self.path, headers=self.headers))
            self.number = len(server.requests)  # from 1
        try:
            server.answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_):
        pass

    def begin(self, status=200, length=None, **headers):
        """The headers. Underscores in their names stand for hyphens."""
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send(self, data, status=200, **headers):
        self.begin(status, len(data), **headers)
        self.wfile.write(data)

    def cut(self):
        """Ends the connection."""
        self.wfile.flush()
        self.close_connection = True

    def first(self):
        """Where the wanted range begins, or None."""
        given = self.headers["Range"]
        return int(given.removeprefix("bytes=").removesuffix("-")) if given else None

    def file(self, data, etag=None, until=None, trusting=False):
        """As a good server gives a file; `until`: the connection is cut there. `trusting`: without
        a look at If-Range."""
        headers = {"ETag": etag} if etag else {}
        first = self.first()
        if first is not None and not trusting and self.headers["If-Range"] not in (None, etag):
            first = None
        if first is None:
            self.begin(200, len(data), **headers)
        elif first >= len(data):
            return self.send(b"nothing there", 416, Content_Range=f"bytes */{len(data)}", **headers)
        else:
            self.begin(206, len(data) - first, **headers,
                       Content_Range=f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.wfile.write(data[first or 0:until])
        if until is not None:
            self.cut()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer, tls=None):
        super().__init__(("127.0.0.1", 0), Request)
        self.answer = answer
        self.requests = []
        self.guard = threading.Lock()
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # clients break off, and refuse certificates

    def url(self, name="net.pth"):
        return f"{self.scheme}://127.0.0.1:{self.server_port}/models/{name}"

    def ranges(self):
        return [request.headers["Range"] for request in self.requests]

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class ProxyRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append(f"GET {self.path}")
        parts = urllib.parse.urlsplit(self.path)
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
        connection.request("GET", parts.path, headers=dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_CONNECT(self):
        self.server.seen.append(f"CONNECT {self.path}")
        self.close_connection = True
        if self.server.refuses:
            return self.send_error(403)
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: other, other: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    ends[end].sendall(data)


class Proxy(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, refuses=False):
        super().__init__(("127.0.0.1", 0), ProxyRequest)
        self.seen = []
        self.refuses = refuses
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
