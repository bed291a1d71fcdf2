"""The store's report pages over HTTP on loopback, every byte verified before it is shown.

`python -m ddd_llm.platform.pages` serves them. Pages live in the store (not in Dagster or MLflow), so an erasure reaches them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddd_llm.platform.report import Page
from ddd_llm.platform.settings import load_settings
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.errors import Corrupt, NotFound, StoreError
from ddd_llm.store.records import REPORT, Record
from ddd_llm.store.session import Held, Session, unmet

if TYPE_CHECKING:
    from starlette.applications import Starlette

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'"
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
SERVED = {"text/html": "text/html; charset=utf-8", "image/png": "image/png", "application/json": "application/json"}


def current_heads(store: ArtifactStore) -> list[Held]:
    """Heads of all assets that can be read, sorted by asset and partition."""
    session = Session.current(store)
    found = []
    for asset, partition in sorted(store.head_numbers(), key=lambda k: (k[0], k[1] or "")):
        held = session.head(asset, partition)
        if held is not None:
            found.append(held)
    return found


def index_page(store: ArtifactStore) -> bytes:
    """All heads with their rows, verdicts and a link to the report of each."""
    page = Page(
        "The lineage, asset by asset", "Reports in the artifact store; each byte is checked before it is shown."
    )
    rows = []
    links = []
    for held in current_heads(store):
        record = held.record
        state = "required checks unmet" if unmet(store, held) else "readable"
        rows.append([record.label, f"{record.rows:,}", state, record.finished, held.digest[:16]])
        links.append((record.label, f"/records/{held.digest}"))
    page.table(["asset", "rows", "state", "written (UTC)", "record"], rows)
    page.links(links)
    return page.encode()


def record_page(store: ArtifactStore, digest: str, record: Record) -> bytes:
    """What a record without a report page of its own says about itself."""
    page = Page(record.asset, f"Record {digest}")
    page.table(["", ""], [[key.replace("_", " "), str(value)] for key, value in record.summary.items()])
    page.table(["part", "rows or bytes", "digest"], [[n, f"{r.size:,}", r.digest] for n, r in record.objects().items()])
    page.links([(f"{p.asset} {p.partition or ''}", f"/records/{p.record}") for p in record.inputs])
    return page.encode()


def application(store: ArtifactStore) -> Starlette:
    """The web application (Starlette): `/`, `/records/DIGEST`, `/records/DIGEST/FILE`."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def index(request: Request) -> Response:
        return Response(index_page(store), media_type=SERVED["text/html"], headers=HEADERS)

    def show(request: Request) -> Response:
        digest = request.path_params["digest"]
        name = request.path_params.get("name")
        if len(digest) != 64 or not digest.isalnum():
            return PlainTextResponse("not a record digest", 404)
        try:
            record = store.get_record(digest)
            ref = record.files.get(REPORT + (name or "index.html"))
            if ref is None or ref.media_type not in SERVED:
                if name is not None:
                    return PlainTextResponse("no such page", 404)
                return Response(record_page(store, digest, record), media_type=SERVED["text/html"], headers=HEADERS)
            return Response(store.read_bytes(ref), media_type=SERVED[ref.media_type], headers=HEADERS)
        except NotFound as error:
            return PlainTextResponse(str(error), 404)
        except Corrupt as error:
            return PlainTextResponse(f"refused: {error}", 500)

    routes = [Route("/", index), Route("/records/{digest}", show), Route("/records/{digest}/{name:path}", show)]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "testserver"])
    return Starlette(routes=routes, middleware=[hosts])


def main() -> None:
    """Serve until interrupted."""
    import uvicorn

    settings = load_settings()
    try:
        store = open_store(settings.store)
    except StoreError as error:
        raise SystemExit(str(error)) from None
    uvicorn.run(application(store), host="127.0.0.1", port=settings.pages_port, log_level="warning")


if __name__ == "__main__":
    main()
