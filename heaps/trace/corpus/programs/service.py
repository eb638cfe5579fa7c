"""A web service in Python that is not in the corpus: for trying on it what was made with the corpus.

``service.py serve SOCKET`` answers HTTP over a Unix socket: sessions that go when they are old, a store of articles
that are read and edited, pages filled into a template, and a log of the latest requests.
``service.py load SOCKET REQUESTS`` asks each such server the same, and ends it.
"""

import json
import random
import socket
import sys
from collections import OrderedDict, deque
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

from connecting import servers

PAGE = "<html><title>{title}</title><h1>{title}</h1><p>{text}</p><ul>{items}</ul></html>"

articles: dict[int, dict[str, object]] = {}
sessions: "OrderedDict[str, dict[str, object]]" = OrderedDict()
log: "deque[tuple[str, str, int]]" = deque(maxlen=5_000)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._session()
        if self.path == "/stop":
            self._answer("stopped", "text/plain")
            raise SystemExit
        if self.path.startswith("/list/"):
            first = int(self.path.removeprefix("/list/"))
            found = [articles[at] for at in range(first, first + 40) if at in articles]
            self._answer(json.dumps(found), "application/json")
            return
        article = articles.get(int(self.path.removeprefix("/article/")), {"title": "none", "text": "", "words": {}})
        items = "".join(f"<li>{word}: {count}</li>" for word, count in sorted(dict(article["words"]).items()))  # type: ignore[call-overload]
        self._answer(PAGE.format(title=article["title"], text=article["text"], items=items), "text/html")

    def do_POST(self) -> None:
        self._session()
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        words: dict[str, int] = {}
        for word in given["text"].split():
            words[word] = words.get(word, 0) + 1
        number = int(self.path.removeprefix("/article/"))
        edits = int(str(articles.get(number, {}).get("edits", 0))) + 1
        articles[number] = {"title": given["title"], "text": given["text"], "words": words, "edits": edits}
        self._answer(json.dumps({"edits": edits}), "application/json")

    def _session(self) -> None:
        user = self.headers.get("X-User", "")
        session = sessions.setdefault(user, {"seen": [], "requests": 0})
        sessions.move_to_end(user)
        session["requests"] = int(str(session["requests"])) + 1
        session["seen"] = [*list(session["seen"])[-9:], self.path]  # type: ignore[call-overload]
        if len(sessions) > 4_000:
            sessions.popitem(last=False)

    def _answer(self, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        log.append((self.command, self.path, len(format % arguments)))


def load(connection: socket.socket, requests: int) -> None:
    """Two reads for each edit; newer articles more often than older ones."""
    chance = random.Random(1)
    words = [f"word{at}" for at in range(2_000)]
    http = HTTPConnection("service")
    http.sock = connection
    for number in range(requests):
        newest = max(number // 2, 1)
        which = newest - int(newest * chance.random() ** 3)
        headers = {"X-User": f"user {int(10_000 * chance.random() ** 2)}"}
        if number % 3 == 0:
            text = " ".join(chance.choices(words, k=chance.randrange(20, 120)))
            body = json.dumps({"title": f"article {which}", "text": text})
            http.request("POST", f"/article/{which}", body, headers)
        else:
            http.request("GET", f"/{chance.choice(('article', 'article', 'list'))}/{which}", headers=headers)
        http.getresponse().read()
    http.request("GET", "/stop")
    http.getresponse().read()


if __name__ == "__main__":
    place = Path(sys.argv[2])
    if sys.argv[1] == "serve":
        place.unlink(missing_ok=True)
        with UnixStreamServer(str(place), Handler) as service:
            service.serve_forever()
    else:
        for server in servers(place):
            # It may have been the last one, on its way out.
            with suppress(ConnectionError):
                load(server, int(sys.argv[3]))
