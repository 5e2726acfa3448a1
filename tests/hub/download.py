# SPDX-License-Identifier: MIT
"""Downloads from servers that behave in all the ways that servers do: download.py --tool PROGRAM
[TEST...]

Everything stays on the loopback. Exit code 77: Python cannot make such a server here.
"""

import argparse
import contextlib
import gzip
import hashlib
import os
import pathlib
import pty
import random
import resource
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from server import Proxy, Server

DATA = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
NAME = f"net-{SHA256[:8]}.pth"
HALF = len(DATA) // 2
TOOL = None


class Result:
    def __init__(self, run):
        self.status = run.returncode
        *lines, self.progress = run.stdout.splitlines() or [""]
        self.text = "\n".join(lines)


class HubTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.target = self.folder / "checkpoints" / "net.pth"
        self.partial = self.target.with_name("net.pth.partial")
        self.origin = self.target.with_name("net.pth.partial.origin")

    def serve(self, answer, tls=None):
        return self.enterContext(Server(answer, tls))

    def command(self, *words, environment={}, **options):
        kept = {name: value for name, value in os.environ.items()
                if not name.lower().endswith("_proxy") and name not in
                ("TORCH_HOME", "XDG_CACHE_HOME", "CURL_CA_BUNDLE", "SSL_CERT_FILE")}
        options = [f"{name}={value}" for name, value in options.items()]
        return dict(args=[TOOL, *map(str, words), *options], text=True, stdout=subprocess.PIPE,
                    env=kept | {"TORCH_HOME": str(self.folder)} | environment)

    def start(self, *words, **options):
        return self.enterContext(subprocess.Popen(**self.command(*words, **options)))

    def tool(self, *words, process={}, **options):
        return Result(subprocess.run(**self.command(*words, **options), **process, timeout=60))

    def fetch(self, server, sha256=SHA256, **options):
        return self.tool("file", server.url(), sha256, self.target, **options)

    def leave(self, data, etag="", total=""):
        """A partial file, as an earlier run leaves it."""
        self.target.parent.mkdir(exist_ok=True)
        self.partial.write_bytes(data)
        self.origin.write_text(f"{etag}\n{total}\n")

    def succeeded(self, result, data=DATA):
        self.assertEqual((result.status, result.text), (0, ""))
        self.assertEqual(self.target.read_bytes(), data)
        self.assertEqual(os.listdir(self.target.parent), ["net.pth"])

    def failed(self, result, *parts, kept=None, status=2):
        """With an error that says these parts; the partial file then has these bytes, or is none,
        and there is no target."""
        self.assertEqual(result.status, status, result.text)
        for part in parts:
            self.assertIn(part, result.text)
        self.assertFalse(self.target.exists())
        if kept is None:
            self.assertFalse(self.partial.exists() or self.origin.exists())
        else:
            self.assertEqual(self.partial.read_bytes(), kept)

    def wait_until(self, condition):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end, "it never came to that")
            time.sleep(0.01)


class Plain(HubTest):
    def test_a_file_comes_whole_into_new_folders(self):
        server = self.serve(lambda request: request.file(DATA, '"1"'))
        result = self.fetch(server)
        self.succeeded(result)
        self.assertEqual(server.ranges(), [None])
        self.assertIn(f"{len(DATA)} of {len(DATA)}, 0 times downwards", result.progress)

    def test_without_a_hash_any_bytes_are_right(self):
        server = self.serve(lambda request: request.file(OTHER))
        self.succeeded(self.fetch(server, sha256=""), OTHER)

    def test_an_empty_file_is_a_file(self):
        server = self.serve(lambda request: request.send(b""))
        self.succeeded(self.fetch(server, sha256=""), b"")

    def test_an_empty_file_takes_the_place_of_a_part(self):
        server = self.serve(lambda request: request.send(b""))
        self.leave(OTHER[:HALF], '"1"')
        self.succeeded(self.fetch(server, sha256=""), b"")

    def test_published_weights_go_into_the_cache_and_are_not_downloaded_again(self):
        server = self.serve(lambda request: request.file(DATA))
        path = self.folder / "hub" / "checkpoints" / NAME
        for command in ("weights", "weights", "locate", "elsewhere"):
            result = self.tool(command, server.url(NAME))
            self.assertEqual((result.status, result.text), (0, str(path)))
            self.assertEqual(path.read_bytes(), DATA)
        self.assertEqual(len(server.requests), 1)

    def test_locate_downloads_also_from_files_that_are_compiled_without_the_target(self):
        server = self.serve(lambda request: request.file(DATA))
        for command in ("locate", "elsewhere"):
            path = self.folder / "hub" / "checkpoints" / NAME
            self.assertEqual(self.tool(command, server.url(NAME)).text, str(path))
            self.assertEqual(path.read_bytes(), DATA)
            path.unlink()

    def test_the_hash_in_the_name_of_published_weights_is_checked(self):
        server = self.serve(lambda request: request.file(OTHER))
        result = self.tool("weights", server.url(NAME))
        self.assertEqual(result.status, 2)
        self.assertIn(f"should begin with {SHA256[:8]}", result.text)

    def test_what_is_there_is_replaced_only_where_that_is_asked_for(self):
        server = self.serve(lambda request: request.file(DATA))
        self.target.parent.mkdir()
        self.target.write_bytes(b"before")
        self.succeeded(self.fetch(server), b"before")
        self.assertEqual(server.requests, [])
        self.succeeded(self.fetch(server, replace=1))

    def test_chunked_without_a_length(self):
        def answer(request):
            request.begin(200, Transfer_Encoding="chunked")
            for begin in range(0, len(DATA), 50_000):
                piece = DATA[begin:begin + 50_000]
                request.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            request.wfile.write(b"0\r\n\r\n")
        result = self.fetch(self.serve(answer))
        self.succeeded(result)
        self.assertIn(f"{len(DATA)} of {len(DATA)}", result.progress)

    def test_neither_chunks_nor_a_length_until_the_connection_ends(self):
        def answer(request):
            request.begin(200, Connection="close")
            request.wfile.write(DATA)
        self.succeeded(self.fetch(self.serve(answer)))

    def test_no_encoding_is_asked_for(self):
        def answer(request):
            accepted = request.headers["Accept-Encoding"]
            if accepted == "identity":
                request.file(DATA)
            else:
                request.send(gzip.compress(DATA), Content_Encoding="gzip")
        self.succeeded(self.fetch(self.serve(answer)))

    def test_an_encoding_that_comes_all_the_same_is_refused(self):
        server = self.serve(lambda request: request.send(gzip.compress(DATA),
                                                         Content_Encoding="gzip"))
        self.failed(self.fetch(server, sha256=""), "encoded (gzip), although asked not to")

    def test_permissions_are_those_of_the_umask(self):
        server = self.serve(lambda request: request.file(DATA))
        self.succeeded(self.fetch(server, process={"umask": 0o027}))
        self.assertEqual(stat.S_IMODE(self.target.stat().st_mode), 0o640)
        self.assertEqual(stat.S_IMODE(self.target.parent.stat().st_mode), 0o750)

    def test_a_line_is_shown_on_a_terminal_and_nowhere_else(self):
        server = self.serve(lambda request: request.file(DATA))
        self.assertEqual(self.fetch(server, line=1).text, "")
        self.target.unlink()
        ours, theirs = pty.openpty()
        process = subprocess.Popen(**self.command("file", server.url(), SHA256, self.target, line=1)
                                   | {"stdout": theirs})
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(ours, 1 << 16):
                shown += piece
        os.close(ours)
        self.assertEqual(process.wait(), 0)
        self.assertIn(b"\rweights: 0.3 MB of 0.3 MB, 100 %\033[K\r\n", shown)
        self.assertEqual(shown.count(b"100 %"), 1)


class Broken(HubTest):
    def test_a_cut_connection_is_resumed(self):
        def answer(request):
            request.file(DATA, '"1"', until=HALF if request.number == 1 else None)
        server = self.serve(answer)
        result = self.fetch(server)
        self.succeeded(result)
        self.assertEqual(server.ranges(), [None, f"bytes={HALF}-"])
        self.assertEqual(server.requests[1].headers["If-Range"], '"1"')
        self.assertIn("0 times downwards", result.progress)

    def test_progress_is_no_failure(self):
        """Nine cuts, each of them further: more than the attempts, of which there are three."""
        server = self.serve(lambda request: request.file(DATA, '"1"',
                                                         until=request.number * len(DATA) // 10))
        self.succeeded(self.fetch(server))
        self.assertEqual(len(server.requests), 10)

    def test_cuts_that_bring_nothing_are_an_error_and_what_came_is_kept(self):
        server = self.serve(lambda request: request.file(DATA, '"1"', until=HALF))
        self.failed(self.fetch(server), server.url(), "3 times in a row", "By hand: curl",
                    kept=DATA[:HALF])
        self.assertEqual(len(server.requests), 3)

    def test_without_ranges_it_starts_anew(self):
        def answer(request):
            until = HALF if request.number == 1 else len(DATA)
            request.begin(200, len(DATA))
            request.wfile.write(DATA[:until])
            if until == HALF:
                request.cut()
        self.succeeded(self.fetch(self.serve(answer)))

    def test_without_etag_and_hash_it_starts_anew(self):
        def answer(request):
            request.file(DATA, until=HALF if request.number == 1 else None)
        server = self.serve(answer)
        self.succeeded(self.fetch(server, sha256=""))
        self.assertEqual(server.ranges(), [None, None])

    def test_a_weak_etag_is_none(self):
        def answer(request):
            request.file(DATA, 'W/"1"', until=HALF if request.number == 1 else None)
        server = self.serve(answer)
        self.succeeded(self.fetch(server, sha256=""))
        self.assertEqual(server.ranges(), [None, None])

    def test_with_a_hash_it_is_resumed_without_etag(self):
        def answer(request):
            request.file(DATA, until=HALF if request.number == 1 else None)
        server = self.serve(answer)
        self.succeeded(self.fetch(server))
        self.assertEqual(server.ranges(), [None, f"bytes={HALF}-"])

    def test_a_file_that_changes_between_the_parts_is_downloaded_anew(self):
        def answer(request):
            if request.number == 1:
                request.file(OTHER, '"old"', until=HALF)
            else:
                request.file(DATA, '"new"')
        server = self.serve(answer)
        self.succeeded(self.fetch(server, sha256=""))
        self.assertEqual(len(server.requests), 2)

    def test_and_where_the_server_does_not_look_at_if_range(self):
        def answer(request):
            if request.number == 1:
                request.file(OTHER, '"old"', until=HALF)
            else:
                request.file(DATA, '"new"', trusting=True)
        server = self.serve(answer)
        self.succeeded(self.fetch(server, sha256=""))
        self.assertEqual(server.ranges(), [None, f"bytes={HALF}-", None])

    def test_and_where_only_its_size_or_only_the_hash_tells(self):
        for old in (OTHER[:-1], OTHER):
            def answer(request):
                if request.number == 1:
                    request.file(old, until=HALF)
                else:
                    request.file(DATA)
            server = self.serve(answer)
            self.succeeded(self.fetch(server))
            self.assertEqual(server.ranges(), [None, f"bytes={HALF}-", None])
            self.target.unlink()

    def test_a_part_that_begins_elsewhere_is_not_taken(self):
        def answer(request):
            if request.first() is None:
                return request.file(DATA, '"1"', until=HALF if request.number == 1 else None)
            request.send(DATA[HALF - 1:], 206, ETag='"1"',
                         Content_Range=f"bytes {HALF - 1}-{len(DATA) - 1}/{len(DATA)}")
        self.succeeded(self.fetch(self.serve(answer), sha256=""))

    def test_a_part_shorter_than_asked_for_is_continued(self):
        def answer(request):
            first = request.first()
            if first is None:
                return request.file(DATA, '"1"', until=1000)
            last = min(first + 100_000, len(DATA)) - 1
            request.send(DATA[first:last + 1], 206, ETag='"1"',
                         Content_Range=f"bytes {first}-{last}/{len(DATA)}")
        self.succeeded(self.fetch(self.serve(answer), sha256=""))

    def test_a_part_where_the_whole_was_asked_for_is_refused(self):
        server = self.serve(lambda request: request.send(
            DATA[:HALF], 206, Content_Range=f"bytes 0-{HALF - 1}/{len(DATA)}"))
        self.failed(self.fetch(server), "a part, although asked for the whole")

    def test_a_partial_file_that_is_whole_is_taken(self):
        """With a hash without a server; without one by the server's word."""
        server = self.serve(lambda request: request.file(DATA, '"1"'))
        self.leave(DATA)
        self.succeeded(self.fetch(server))
        self.assertEqual(server.requests, [])
        self.target.unlink()
        self.leave(DATA, '"1"', len(DATA))
        self.succeeded(self.fetch(server, sha256=""))
        self.assertEqual(server.ranges(), [f"bytes={len(DATA)}-"])

    def test_a_partial_file_that_is_longer_than_the_file_is_not(self):
        server = self.serve(lambda request: request.file(DATA, '"1"'))
        self.leave(DATA + b"more", '"1"')
        self.succeeded(self.fetch(server, sha256=""))

    def test_a_partial_file_of_another_size_is_not_continued(self):
        server = self.serve(lambda request: request.file(DATA, '"1"'))
        self.leave(OTHER[:HALF], '"1"', len(DATA) - 1)
        self.succeeded(self.fetch(server, sha256=""))
        self.assertEqual(server.ranges(), [f"bytes={HALF}-", None])

    def test_a_partial_file_without_etag_and_hash_is_not_continued(self):
        server = self.serve(lambda request: request.file(DATA))
        self.leave(OTHER[:HALF])
        self.succeeded(self.fetch(server, sha256=""))
        self.assertEqual(server.ranges(), [None])

    def test_a_partial_file_of_anything_else_does_no_harm(self):
        server = self.serve(lambda request: request.file(DATA, '"1"'))
        for data in (OTHER[:HALF], OTHER, b"\0" * 400_000):
            self.leave(data)
            self.succeeded(self.fetch(server))
            self.target.unlink()

    def test_a_stalled_transfer_ends_and_is_resumed(self):
        released = threading.Event()
        self.addCleanup(released.set)
        def answer(request):
            if request.number > 1:
                return request.file(DATA, '"1"')
            request.begin(200, len(DATA), ETag='"1"')
            request.wfile.write(DATA[:HALF])
            released.wait(20)
        server = self.serve(answer)
        begin = time.monotonic()
        self.succeeded(self.fetch(server, low_speed_time=1, low_speed_bytes=1 << 30))
        self.assertLess(time.monotonic() - begin, 6)
        self.assertEqual(server.ranges(), [None, f"bytes={HALF}-"])

    def test_a_server_that_never_answers_is_given_up(self):
        released = threading.Event()
        self.addCleanup(released.set)
        server = self.serve(lambda request: released.wait(20))
        self.failed(self.fetch(server, low_speed_time=1, attempts=1), "1 times in a row",
                    "too slow")

    def test_a_larger_body_than_announced_is_cut_and_judged_by_the_hash(self):
        def answer(request):
            request.begin(200, HALF)
            request.wfile.write(DATA)
        self.failed(self.fetch(self.serve(answer)), "not the published one")

    def test_wrong_bytes_are_removed_and_both_hashes_are_said(self):
        server = self.serve(lambda request: request.file(OTHER, '"1"'))
        result = self.fetch(server)
        self.failed(result, f"should begin with {SHA256}",
                    f"but is {hashlib.sha256(OTHER).hexdigest()}", server.url())
        self.assertEqual(os.listdir(self.target.parent), [])
        self.assertEqual(len(server.requests), 1)

    def test_wrong_bytes_leave_what_was_there(self):
        server = self.serve(lambda request: request.file(OTHER, '"1"'))
        self.target.parent.mkdir()
        self.target.write_bytes(b"before")
        self.assertEqual(self.fetch(server, replace=1).status, 2)
        self.assertEqual(self.target.read_bytes(), b"before")
        self.assertEqual(os.listdir(self.target.parent), ["net.pth"])


class Refused(HubTest):
    def answers(self, status, **headers):
        return self.serve(lambda request: request.send(b"<html>sorry</html>", status, **headers))

    def test_statuses_that_are_final(self):
        for status, words in ((404, "no such file (HTTP 404)"), (410, "no such file (HTTP 410)"),
                              (403, "refuses to give it (HTTP 403)"), (418, "answers HTTP 418"),
                              (204, "answers HTTP 204")):
            server = self.answers(status)
            self.failed(self.fetch(server), server.url(), words, "By hand: curl -L",
                        f"-o '{self.target}'")
            self.assertEqual(len(server.requests), 1)

    def test_statuses_that_pass(self):
        for status in (429, 500, 503):
            def answer(request):
                if request.number == 1:
                    return request.send(b"later", status)
                request.file(DATA)
            server = self.serve(answer)
            self.succeeded(self.fetch(server))
            self.assertEqual(len(server.requests), 2)
            self.target.unlink()

    def test_a_busy_server_is_asked_some_times(self):
        server = self.answers(500)
        self.failed(self.fetch(server), "busy (HTTP 500), 3 times in a row")
        self.assertEqual(len(server.requests), 3)

    def test_errors_leave_the_partial_file(self):
        self.leave(DATA[:HALF], '"1"', len(DATA))
        self.failed(self.fetch(self.answers(404)), "no such file", kept=DATA[:HALF])
        self.failed(self.fetch(self.answers(503)), "busy", kept=DATA[:HALF])

    def test_the_server_says_how_long_to_wait(self):
        times = []
        def answer(request):
            times.append(time.monotonic())
            if request.number == 1:
                return request.send(b"later", 429, Retry_After="1")
            request.file(DATA)
        self.succeeded(self.fetch(self.serve(answer)))
        self.assertGreaterEqual(times[1] - times[0], 1)

    def test_but_not_for_how_long_we_have_patience(self):
        server = self.answers(429, Retry_After="3600")
        self.failed(self.fetch(server), "asked too often (HTTP 429)",
                    "asks to come back in 3600 s")
        self.assertEqual(len(server.requests), 1)

    def test_redirects_are_followed(self):
        other = self.serve(lambda request: request.file(DATA))
        places = {1: "relative", 2: other.url()}
        server = self.serve(lambda request: request.send(b"there", 302,
                                                         Location=places[request.number]))
        self.succeeded(self.fetch(server))
        self.assertEqual(server.requests[1].path, "/models/relative")

    def test_a_redirected_download_is_resumed(self):
        other = self.serve(lambda request: request.file(
            DATA, '"1"', until=HALF if request.number == 1 else None))
        server = self.answers(302, Location=other.url())
        self.succeeded(self.fetch(server))
        self.assertEqual(other.ranges(), [None, f"bytes={HALF}-"])

    def test_redirects_in_a_circle_end(self):
        server = self.answers(302, Location="again")
        self.failed(self.fetch(server), "redirected 10 times")
        self.assertEqual(len(server.requests), 11)

    def test_redirects_to_other_protocols_are_refused(self):
        secret = self.folder / "secret"
        secret.write_text("secret")
        for place in (f"file://{secret}", "ftp://127.0.0.1/net.pth"):
            self.failed(self.fetch(self.answers(302, Location=place), sha256=""),
                        f"redirects to {place}", "neither http nor https")

    def test_other_protocols_are_refused(self):
        secret = self.folder / "secret"
        secret.write_text("secret")
        result = self.tool("file", f"file://{secret}", "", self.target)
        self.failed(result, f"cannot download file://{secret}")
        self.assertRegex(result.text, "not supported|disabled")  # libcurl before and since 8.10

    def test_an_error_page_without_end_ends(self):
        def answer(request):
            request.begin(404, Connection="close")
            for _ in range(100):
                request.wfile.write(b"sorry " * 10_000)
        self.failed(self.fetch(self.serve(answer)), "the server's answer 404 does not end")

    def test_a_file_that_is_announced_too_large_is_refused(self):
        server = self.serve(lambda request: request.file(DATA, '"1"'))
        for limit in (1000, len(DATA) - 1):
            self.failed(self.fetch(server, max_bytes=limit),
                        f"{len(DATA)} bytes or more, and the limit (max_bytes) is {limit}")
        self.succeeded(self.fetch(server, max_bytes=len(DATA)))

    def test_a_file_that_grows_too_large_is_refused(self):
        def answer(request):
            request.begin(200, Connection="close")
            for _ in range(100):
                request.wfile.write(DATA)
        self.failed(self.fetch(self.serve(answer), max_bytes=1_000_000), "the limit (max_bytes)")
        self.assertFalse(self.partial.exists())

    def test_no_server(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}/net.pth"
            self.failed(self.tool("file", url, "", self.target), url, "there is no connection",
                        "offline", f"By hand: curl -L --create-dirs -o '{self.target}' '{url}'")

    def test_no_such_host(self):
        url = "http://nobody.invalid/net.pth"
        self.failed(self.tool("file", url, "", self.target), url, "there is no connection",
                    "Could not resolve host", "offline", "By hand: curl")

    def test_a_server_that_does_not_accept_is_given_up(self):
        """Its queue is full: a connection is never made."""
        with socket.socket() as busy, contextlib.ExitStack() as waiting:
            busy.bind(("127.0.0.1", 0))
            busy.listen(0)
            for _ in range(4):
                client = waiting.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(busy.getsockname())
            url = f"http://127.0.0.1:{busy.getsockname()[1]}/net.pth"
            begin = time.monotonic()
            self.failed(self.tool("file", url, "", self.target, connect_timeout=300),
                        "there is no connection")
            self.assertLess(time.monotonic() - begin, 4)


class Through(HubTest):
    """A proxy, TLS."""

    @classmethod
    def setUpClass(cls):
        if shutil.which("openssl") is None:
            raise unittest.SkipTest("openssl, which makes the certificate, is not installed")
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.ca = folder / "ca.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                        folder / "key.pem", "-out", cls.ca], check=True, capture_output=True)
        cls.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.tls.load_cert_chain(cls.ca, folder / "key.pem")

    def test_an_unknown_certificate_is_refused(self):
        server = self.serve(lambda request: request.file(DATA), self.tls)
        self.failed(self.fetch(server), "is not trusted", "ca_file", server.url())
        self.assertEqual(server.requests, [])

    def test_a_certificate_is_trusted_by_option_and_by_variable(self):
        server = self.serve(lambda request: request.file(DATA), self.tls)
        self.succeeded(self.fetch(server, ca_file=self.ca))
        for variable in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            self.target.unlink()
            self.succeeded(self.fetch(server, environment={variable: str(self.ca)}))

    def test_a_certificate_file_that_is_none_is_named(self):
        server = self.serve(lambda request: request.file(DATA), self.tls)
        nowhere = self.folder / "nowhere.pem"
        self.failed(self.fetch(server, ca_file=nowhere), str(nowhere), "ca_file")

    def test_a_certificate_of_another_host_is_refused(self):
        server = self.serve(lambda request: request.file(DATA), self.tls)
        url = server.url().replace("127.0.0.1", "localhost")
        self.failed(self.tool("file", url, SHA256, self.target, ca_file=self.ca), "is not trusted")

    def test_https_never_falls_back_to_http(self):
        plain = self.serve(lambda request: request.file(DATA))
        server = self.serve(lambda request: request.send(b"", 302, Location=plain.url()), self.tls)
        first = self.serve(lambda request: request.send(b"", 302, Location=server.url()))
        for begin in (server, first):
            self.failed(self.fetch(begin, ca_file=self.ca), f"redirects to {plain.url()}",
                        "not https")
        self.assertEqual(plain.requests, [])

    def test_http_may_become_https(self):
        server = self.serve(lambda request: request.file(DATA), self.tls)
        first = self.serve(lambda request: request.send(b"", 302, Location=server.url()))
        self.succeeded(self.fetch(first, ca_file=self.ca))

    def test_a_cut_connection_is_resumed_over_tls(self):
        server = self.serve(lambda request: request.file(
            DATA, '"1"', until=HALF if request.number == 1 else None), self.tls)
        self.succeeded(self.fetch(server, ca_file=self.ca))
        self.assertEqual(server.ranges(), [None, f"bytes={HALF}-"])

    def test_a_proxy_by_option_and_by_variable(self):
        proxy = self.enterContext(Proxy())
        server = self.serve(lambda request: request.file(DATA))
        self.succeeded(self.fetch(server, proxy=proxy.url()))
        self.target.unlink()
        self.succeeded(self.fetch(server, environment={"http_proxy": proxy.url()}))
        self.assertEqual(proxy.seen, 2 * [f"GET {server.url()}"])
        self.target.unlink()
        self.succeeded(self.fetch(server, environment={"http_proxy": proxy.url(),
                                                       "no_proxy": "127.0.0.1"}))
        self.assertEqual(len(proxy.seen), 2)

    def test_https_goes_through_a_tunnel(self):
        proxy = self.enterContext(Proxy())
        server = self.serve(lambda request: request.file(DATA), self.tls)
        self.succeeded(self.fetch(server, ca_file=self.ca,
                                  environment={"https_proxy": proxy.url()}))
        self.assertEqual(proxy.seen, [f"CONNECT 127.0.0.1:{server.server_port}"])

    def test_a_proxy_that_refuses_or_is_not_there(self):
        proxy = self.enterContext(Proxy(refuses=True))
        server = self.serve(lambda request: request.file(DATA), self.tls)
        self.failed(self.fetch(server, proxy=proxy.url()), "the proxy refuses (HTTP 403)")
        self.assertEqual(len(proxy.seen), 1)
        self.failed(self.fetch(server, proxy="http://nobody.invalid:1"), "there is no connection",
                    "proxy")


class Processes(HubTest):
    def holding(self):
        """A server that sends half of the file and waits, and the event that releases it."""
        released = threading.Event()
        self.addCleanup(released.set)
        def answer(request):
            if released.is_set():
                return request.file(DATA, '"1"')
            request.begin(200, len(DATA), ETag='"1"')
            request.wfile.write(DATA[:HALF])
            released.wait(20)
            request.wfile.write(DATA[HALF:])
        return self.serve(answer), released

    def half_is_there(self):
        return self.partial.exists() and self.partial.stat().st_size == HALF

    def test_a_killed_download_is_resumed(self):
        server, released = self.holding()
        for sha256 in (SHA256, ""):
            released.clear()
            server.requests.clear()
            process = self.start("file", server.url(), sha256, self.target)
            self.wait_until(self.half_is_there)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertFalse(self.target.exists())
            released.set()
            self.succeeded(self.fetch(server, sha256))
            self.assertEqual(server.ranges(), [None, f"bytes={HALF}-"])
            self.assertEqual(server.requests[1].headers["If-Range"], '"1"')
            self.target.unlink()

    def test_two_processes_download_once(self):
        server, released = self.holding()
        processes = [self.start("file", server.url(), SHA256, self.target) for _ in range(2)]
        self.wait_until(self.half_is_there)
        time.sleep(0.2)  # the other one waits
        released.set()
        for process in processes:
            output, _ = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 0, output)
        self.assertEqual(self.target.read_bytes(), DATA)
        self.assertEqual(os.listdir(self.target.parent), ["net.pth"])
        self.assertEqual(server.ranges(), [None])

    def test_where_one_is_killed_the_other_goes_on(self):
        server, released = self.holding()
        first = self.start("file", server.url(), SHA256, self.target)
        self.wait_until(self.half_is_there)
        second = self.start("file", server.url(), SHA256, self.target)
        time.sleep(0.2)
        released.set()
        first.send_signal(signal.SIGKILL)
        output, _ = second.communicate(timeout=20)
        self.assertEqual(second.returncode, 0, output)
        self.assertEqual(self.target.read_bytes(), DATA)

    def test_where_one_gets_wrong_bytes_the_other_begins_anew(self):
        released = threading.Event()
        self.addCleanup(released.set)
        def answer(request):
            if request.number > 1:
                return request.file(DATA)
            request.begin(200, len(DATA))
            request.wfile.write(OTHER[:HALF])
            released.wait(20)
            request.wfile.write(OTHER[HALF:])
        server = self.serve(answer)
        first = self.start("file", server.url(), SHA256, self.target)
        self.wait_until(self.half_is_there)
        second = self.start("file", server.url(), SHA256, self.target)
        time.sleep(0.2)
        released.set()
        first.communicate(timeout=20)
        second.communicate(timeout=20)
        self.assertEqual((first.returncode, second.returncode), (2, 0))
        self.assertEqual(self.target.read_bytes(), DATA)
        self.assertEqual(os.listdir(self.target.parent), ["net.pth"])

    def test_threads_download_once(self):
        server = self.serve(lambda request: request.file(DATA, '"1"'))
        self.succeeded(self.tool("threads", server.url(), SHA256, self.target))
        self.assertEqual(server.ranges(), [None])

    def test_waiting_for_another_process_can_be_cancelled(self):
        server, _ = self.holding()
        process = self.start("file", server.url(), SHA256, self.target)
        self.wait_until(self.half_is_there)
        self.failed(self.fetch(server, cancel_at=HALF), "waiting for", "was cancelled", status=3,
                    kept=DATA[:HALF])
        process.kill()

    def test_a_cancelled_download_is_resumed(self):
        server, released = self.holding()
        self.failed(self.fetch(server, cancel_at=HALF), "was cancelled", str(self.partial),
                    status=3, kept=DATA[:HALF])
        released.set()
        self.succeeded(self.fetch(server))
        self.assertEqual(server.ranges(), [None, f"bytes={HALF}-"])

    def test_a_wait_for_the_next_attempt_can_be_cancelled(self):
        server = self.serve(lambda request: request.file(DATA, '"1"', until=HALF))
        begin = time.monotonic()
        self.failed(self.fetch(server, first_delay=20_000, cancel_after=500), status=3,
                    kept=DATA[:HALF])
        self.assertLess(time.monotonic() - begin, 5)

    def test_what_the_callback_throws_reaches_the_caller(self):
        server, _ = self.holding()
        self.failed(self.fetch(server, throw_at=HALF), "the callback's own error", status=1,
                    kept=DATA[:HALF])

    def test_a_broken_pipe_does_not_end_the_program(self):
        self.assertEqual(self.tool("sigpipe").text, "alive")


class Disks(HubTest):
    def setUp(self):
        super().setUp()
        self.server = self.serve(lambda request: request.file(DATA, '"1"'))

    def test_a_disk_that_is_full(self):
        """A limit on the size of files, which a write meets in the same way."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, HALF))
        self.failed(self.fetch(self.server, process={"preexec_fn": limit}),
                    f"cannot write {self.partial}: File too large", "Make room", "TORCH_HOME",
                    kept=DATA[:HALF])
        self.succeeded(self.fetch(self.server))
        self.assertEqual(self.server.ranges(), [None, f"bytes={HALF}-"])

    def test_a_disk_that_is_really_full(self):
        mount = f"mount -t tmpfs -o size=64k tmpfs {self.folder}"
        inside = ["unshare", "-rm", "sh", "-c"]
        if subprocess.run([*inside, mount], capture_output=True).returncode != 0:
            self.skipTest("no file system of its own can be mounted here")
        command = self.command("file", self.server.url(), SHA256, self.target)
        command["args"] = [*inside, f'{mount} && exec "$@"', "sh", *command["args"]]
        result = Result(subprocess.run(**command, timeout=20))
        self.assertEqual(result.status, 2, result.text)
        self.assertIn(f"cannot write {self.partial}: No space left on device. Make room",
                      result.text)

    def as_nobody(self):
        return {"user": 65534} if os.getuid() == 0 else {}

    def test_folders_that_cannot_be_written(self):
        tool = self.folder / "tool"
        shutil.copy(TOOL, tool)
        self.folder.chmod(0o555)
        self.addCleanup(self.folder.chmod, 0o755)
        def fetch():
            command = self.command("file", self.server.url(), SHA256, self.target)
            command["args"][0] = str(tool)
            return Result(subprocess.run(**command, **self.as_nobody(), timeout=20))
        self.failed(fetch(), f"cannot create the folder {self.target.parent}: Permission denied",
                    "TORCH_HOME")
        self.folder.chmod(0o755)
        self.target.parent.mkdir()
        self.target.parent.chmod(0o555)
        self.addCleanup(self.target.parent.chmod, 0o755)
        self.failed(fetch(), f"cannot write {self.partial}: Permission denied", "TORCH_HOME")
        # What is there is found all the same.
        self.target.parent.chmod(0o755)
        self.target.write_bytes(DATA)
        self.target.parent.chmod(0o555)
        self.assertEqual(fetch().status, 0)
        self.assertEqual(self.server.requests, [])

    def test_a_file_where_a_folder_should_be(self):
        self.target.parent.write_text("")
        self.failed(self.fetch(self.server), f"cannot create the folder {self.target.parent}:")

    def test_a_folder_where_the_file_should_be(self):
        self.target.mkdir(parents=True)
        result = self.fetch(self.server)
        self.assertEqual(result.status, 2)
        self.assertIn(f"{self.target} is no regular file", result.text)

    def test_a_partial_file_that_is_a_link_or_a_pipe_is_not_written_to(self):
        self.target.parent.mkdir()
        victim = self.folder / "victim"
        victim.write_text("precious")
        self.partial.symlink_to(victim)
        self.assertIn(f"cannot write {self.partial}", self.fetch(self.server).text)
        self.assertEqual(victim.read_text(), "precious")
        self.partial.unlink()
        os.mkfifo(self.partial)
        self.assertIn(f"{self.partial} is no regular file", self.fetch(self.server).text)


def main():
    global TOOL
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--failfast", action="store_true", help="stop at the first failure")
    parser.add_argument("tests", nargs="*")
    arguments = parser.parse_args()
    TOOL = os.path.abspath(arguments.tool)
    try:
        socket.create_server(("127.0.0.1", 0)).close()
    except OSError as error:
        print(f"SKIPPED: no server on the loopback: {error}")
        return 77
    unittest.main(argv=[__file__, *arguments.tests], warnings="ignore",
                  failfast=arguments.failfast)


if __name__ == "__main__":
    sys.exit(main())
