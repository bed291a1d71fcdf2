"""The annotation page: a person labels items in a browser on this machine.

    task = Task(guideline, items)
    serve(task, home / "annotations", 8788)

Heavy: imports Starlette and uvicorn. `app` speaks HTTP, `security` says which requests are let in, `desk` keeps the answers,
`task` says what is shown to whom in which order, `forms` turns what a page sends into a label's value and back. `templates/` and
`static/` are what the browser gets; there is no build step, and nothing is fetched from elsewhere.
"""

from ddd_llm.feedback.web.app import create_app, serve
from ddd_llm.feedback.web.task import Task

__all__ = ["Task", "create_app", "serve"]
