"""The annotation page over HTTP, on loopback only. Heavy: imports Starlette and uvicorn.

Belongs here: addresses, what each answers, and how a label error reads to a person. Does not: security, answers, texts of pages.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import uvicorn
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ddd_llm.corpus.readers.strict_json import BadRecord, loads
from ddd_llm.feedback.labels import LabelError
from ddd_llm.feedback.preferences.policy import AlignmentPlan
from ddd_llm.feedback.records import checked
from ddd_llm.feedback.web.desk import Desk, Queue
from ddd_llm.feedback.web.forms import Answer, sent_by
from ddd_llm.feedback.web.security import (
    TOKEN_COOKIE,
    LocalHostOnly,
    Refused,
    SecurityHeaders,
    body_of,
    check_request,
    token_of,
)
from ddd_llm.feedback.web.task import MOST_NAME, Task, annotator_name, shown_order, what_is_shown
from ddd_llm.platform.inputs import InputError

NAME_COOKIE = "ddd_llm_annotator"
_COOKIE: dict[str, Any] = {"httponly": True, "samesite": "strict", "max_age": 365 * 24 * 3600}
_DEPTH = 8


def create_app(task: Task, journals: Path, plan: AlignmentPlan | None = None) -> Starlette:
    """The web application.

    Args:
        task: what is labelled.
        journals: folder of the answers, one file per person.
        plan: by whose rule gold questions are judged; None: nobody is judged.
    """
    pages = _Pages(task, Desk(task, journals, plan))
    return Starlette(
        routes=[
            Route("/", pages.start),
            Route("/name", pages.set_name, methods=["POST"]),
            Route("/overview", pages.overview),
            Route("/items/{item_id}", pages.item),
            Route("/items/{item_id}", pages.save, methods=["POST"]),
            Mount("/static", StaticFiles(packages=[(__package__ or "", "static")])),
        ],
        middleware=[Middleware(SecurityHeaders), Middleware(LocalHostOnly)],
        exception_handlers={Refused: _refused, LabelError: _unfit, OSError: _unsaved},
    )


def serve(task: Task, journals: Path, port: int, plan: AlignmentPlan | None = None) -> None:
    """Serve until interrupted; prints the address. Port 0 takes any free one. Raises InputError: the port is taken."""
    app = create_app(task, journals, plan)
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise InputError(f"port {port} cannot be used ({error.strerror}): name another one") from None
    with listener, suppress(KeyboardInterrupt):
        print(f"http://127.0.0.1:{listener.getsockname()[1]}  ({len(task.items)} items; Ctrl-C stops)", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run([listener])


class _Pages:
    def __init__(self, task: Task, desk: Desk) -> None:
        self._task = task
        self._desk = desk
        self._templates = Environment(
            loader=PackageLoader(__package__ or "", "templates"), autoescape=True, undefined=StrictUndefined
        )
        self._templates.filters["words"] = lambda name: name.replace("-", " ").replace("_", " ")
        markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
        self._sections = [
            {"id": s.id, "title": s.title, "html": Markup(markdown.render(s.text))} for s in task.guideline.sections
        ]

    async def start(self, request: Request) -> Response:
        """Ask for a name, or go to the first item without an answer."""
        who = _annotator(request)
        if who is None or "change" in request.query_params:
            return self._page(request, "name.html", name=who or "", problem="", most=MOST_NAME)
        return RedirectResponse(_next(await run_in_threadpool(self._desk.queue, who), None), 303)

    async def set_name(self, request: Request) -> Response:
        """Remember a name in a cookie."""
        try:
            form = parse_qs((await body_of(request)).decode(), max_num_fields=4)
        except ValueError:
            raise Refused(400, "invalid_form", "not a form") from None
        check_request(request, form.get("token", [""])[0])
        given = form.get("name", [""])[0]
        name = annotator_name(given)
        if name is None:
            problem = f"Write a name of 1 to {MOST_NAME} printable characters."
            return self._page(request, "name.html", 422, name=given, problem=problem, most=MOST_NAME)
        response = RedirectResponse("/", 303)
        response.set_cookie(NAME_COOKIE, quote(name), **_COOKIE)
        return response

    async def overview(self, request: Request) -> Response:
        """All items of a person by number, with which are answered."""
        who = _annotator(request)
        if who is None:
            return RedirectResponse("/", 303)
        queue = await run_in_threadpool(self._desk.queue, who)
        items = [(number, item_id, item_id in queue.labels) for number, item_id in enumerate(queue.order, 1)]
        done = sum(answered for *_, answered in items)
        return self._page(request, "overview.html", who=who, items=items, done=done, shut_out=queue.shut_out)

    async def item(self, request: Request) -> Response:
        """One item, with the answer that stands."""
        who, item_id = _annotator(request), request.path_params["item_id"]
        if who is None:
            return RedirectResponse("/", 303)
        done, order, _ = await run_in_threadpool(self._desk.queue, who)
        if item_id not in order:
            return RedirectResponse("/overview", 303)
        item, at, label = self._task.by_id[item_id], order.index(item_id), done.get(item_id)
        schema = self._task.guideline.label_schema
        content = {
            "annotator": who,
            "item": what_is_shown(item, shown_order(who, item_id)),
            "schema": schema.model_dump(mode="json"),
            "answer": sent_by(label) if label is not None else None,
            "previous": f"/items/{order[at - 1]}" if at else None,
            "next": f"/items/{order[at + 1]}" if at + 1 < len(order) else None,
        }
        return self._page(
            request, "item.html", who=who, content=content, schema=schema, number=at + 1, total=len(order),
            done=len(done.keys() & set(order)), sections=self._sections, passage=item.passage is not None,
            answered=label is not None,
        )  # fmt: skip

    async def save(self, request: Request) -> Response:
        """Keep an answer, then say where to go on."""
        body = await body_of(request)
        check_request(request, request.headers.get("x-csrf-token", ""))
        answer = _answer(body)
        if answer.annotator != _annotator(request):
            raise Refused(
                409, "other_annotator", "you are at work under another name in another tab: open the page again"
            )
        item_id = request.path_params["item_id"]
        await run_in_threadpool(self._desk.save, item_id, answer)
        queue = await run_in_threadpool(self._desk.queue, answer.annotator)
        return JSONResponse({"next": _next(queue, item_id)})

    def _page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        token = token_of(request)
        html = self._templates.get_template(template).render(guideline=self._task.guideline, token=token, **values)
        response = HTMLResponse(html, status)
        if TOKEN_COOKIE not in request.cookies:
            response.set_cookie(TOKEN_COOKIE, token, **_COOKIE)
        return response


def _next(queue: Queue, after: str | None) -> str:
    """Address of the next item without an answer, from the start again at the end; the overview where all have one."""
    order = queue.order
    at = order.index(after) + 1 if after in order else 0
    return next((f"/items/{i}" for i in order[at:] + order[:at] if i not in queue.labels), "/overview")


def _annotator(request: Request) -> str | None:
    return annotator_name(unquote(request.cookies.get(NAME_COOKIE, "")))


def _answer(body: bytes) -> Answer:
    try:
        sent = loads(body, _DEPTH)
    except BadRecord as error:
        raise LabelError(error.reason, error.detail) from None
    return checked(Answer, sent)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse({"reason": error.reason, "message": str(error)}, error.status)


async def _unfit(request: Request, error: Exception) -> Response:
    assert isinstance(error, LabelError)
    return JSONResponse({"reason": error.reason, "message": str(error)}, 422)


async def _unsaved(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    message = f"the answer could not be written ({error.strerror})"
    return JSONResponse({"reason": "not_written", "message": message}, 507)
