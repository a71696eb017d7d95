"""An HTTP server that answers as GROWI's REST API v3, written from the facts (shared/growi/pages.md, 8)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from export_core.sources.growi.demo_wiki import Wiki

TOKEN = "a-secret-access-token"
RESTRICTED = (2, 3, 4, 5)


class WikiServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, wiki: Wiki) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wiki = wiki
        self.user = "alice"
        self.answers: list[tuple[int, dict[str, str]]] = []
        """Answers to give before the right ones: status and headers."""
        self.slow = 0.0
        self.most = None
        """The greatest ``limit`` of a list."""
        self.on_list = lambda number: None
        """Called before each page of the list, with its number: for changes behind the reader's back."""
        self.on_page = lambda: None
        """Called before each text."""
        self.chunked = False
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def documents(self, name: str) -> list[dict]:
        return self.wiki.collections.get(name, [])

    def find(self, name: str, identity: str | None):
        return next((one for one in self.documents(name) if one["_id"] == identity), None)

    def may_read(self, page: dict) -> bool:
        """The token is Alice's, who is in every group of the demo wiki."""
        user = next(u["_id"] for u in self.documents("users") if u["username"] == self.user)
        grant = page.get("grant")
        if grant in {3, 4}:
            return user in page.get("grantedUsers", [])
        if grant == 5:
            return any(r["relatedUser"] == user for r in self.documents("usergrouprelations"))
        return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True  # headers and body apart would wait 40 ms for each other
    server: WikiServer

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked.append(self.path)
        time.sleep(self.server.slow)
        if self.server.answers:
            status, headers = self.server.answers.pop(0)
            return self.answer(status, b"{}", headers)
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, b"{}")
        query = dict(parse_qsl(parts.query))
        if parts.path.startswith("/download/"):
            return self.download(parts.path.rpartition("/")[2])
        calls = {
            "/_api/v3/pages/list": self.pages,
            "/_api/v3/page": self.page,
            "/_api/v3/attachment/list": self.attachments,
        }
        found = calls[parts.path](query)
        return self.answer(404 if found is None else 200, json.dumps(found or {}).encode())

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pages(self, query: dict[str, str]):
        path, number = query["path"], int(query["page"])
        self.server.on_list(number)
        limit = min(int(query["limit"]), self.server.most or 10**6)
        trash = path.startswith("/trash")
        below = [
            page
            for page in self.server.documents("pages")
            if (path == "/" or page["path"] == path or page["path"].startswith(path + "/"))
            and not page.get("isEmpty")
            and (trash or not page["path"].startswith("/trash/"))
            and page.get("grant") != 2
        ]
        below.sort(key=lambda page: page.get("updatedAt", ""), reverse=True)
        shown = below[(number - 1) * limit : number * limit]
        return {"pages": shown, "totalCount": len(below), "offset": (number - 1) * limit, "limit": limit}

    def page(self, query: dict[str, str]):
        self.server.on_page()
        page = self.server.find("pages", query["pageId"])
        if page is None or not self.server.may_read(page):
            return None
        revision = self.server.find("revisions", query.get("revisionId") or page.get("revision"))
        if revision is None:  # revisions of old wikis know only the path
            old = [r for r in self.server.documents("revisions") if r.get("path") == page["path"]]
            revision = max(old, key=lambda r: r["createdAt"], default=None)
        return {"page": {**page, "revision": revision}}

    def attachments(self, query: dict[str, str]):
        limit, number = int(query["limit"]), int(query["pageNumber"])
        found = [a for a in self.server.documents("attachments") if a["page"] == query["pageId"]]
        return {"paginateResult": {"docs": found[(number - 1) * limit : number * limit]}}

    def download(self, identity: str) -> None:
        found = self.server.find("attachments", identity)
        data = self.server.wiki.contents.get(found["fileName"]) if found else None
        if data is None:
            return self.answer(404, b"no such file")
        if not self.server.chunked:
            return self.answer(200, data)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
        return None


@contextmanager
def serve(wiki: Wiki) -> Iterator[WikiServer]:
    with WikiServer(wiki) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
