"""Any OpenAI-compatible endpoint: `POST URL/chat/completions`, within limits of time and size.

Belongs here: one question and its answer as text, with retries and the tokens it took. Does not: what is asked. Neither keys nor
texts reach a message or a log.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_MOST_BYTES = 1 << 20
_GIVEN_UP_AFTER = 5


class EndpointPolicy(BaseModel):
    """Which machine answers, and how long it is waited for. What is asked of it decides who inherits this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["none", "local", "endpoint"] = Field(
        default="none", description="none; the base model itself; an OpenAI-compatible endpoint."
    )
    url: str | None = Field(default=None, description="Of the endpoint, up to and with /v1.")
    model: str | None = Field(default=None, description="Name of the model there.")
    api_key_env: str | None = Field(default=None, description="Environment variable that holds the key, never the key.")
    seconds: float = Field(default=60, gt=0, description="Longest wait for one answer.")
    attempts: int = Field(default=4, ge=1, le=10, description="Per question, where the endpoint is busy or broken.")
    most_tokens: int = Field(default=200_000, ge=1, description="Budget of a batch, questions and answers.")

    @model_validator(mode="after")
    def _endpoint_is_named(self) -> EndpointPolicy:
        if self.kind == "endpoint" and not (self.url and self.model):
            raise ValueError("an endpoint needs its url and the model's name")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError("url must begin with http:// or https://")
        return self


class EndpointError(RuntimeError):
    """No answer to one question; `reason`: timeout, failed or unreadable."""

    def __init__(self, reason: Literal["timeout", "failed", "unreadable"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Reply:
    """An answer, and the tokens that question and answer took."""

    text: str
    tokens: int


class Endpoint:
    """A model behind an endpoint. It is asked greedily, and no more once it left several questions in a row without an answer:
    the rest of a batch then fails at once instead of after hours.

    Raises:
        ValueError: the environment variable that should hold the key is not set.
    """

    def __init__(self, policy: EndpointPolicy, wait: Callable[[float], None] = time.sleep) -> None:
        self.name = f"{policy.model}"
        self._policy = policy
        self._wait = wait
        self._unanswered = 0
        self._headers = {"Content-Type": "application/json"}
        if policy.api_key_env:
            key = os.environ.get(policy.api_key_env)
            if not key:
                raise ValueError(
                    f"the endpoint's key is to be in the environment variable {policy.api_key_env}: it is not set"
                )
            self._headers["Authorization"] = f"Bearer {key}"

    def __call__(self, messages: Sequence[dict[str, str]], max_tokens: int) -> Reply:
        """Ask once, again where it is busy. Raises EndpointError."""
        body = {
            "model": self._policy.model,
            "messages": list(messages),
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        if self._unanswered >= _GIVEN_UP_AFTER:
            raise EndpointError("failed", f"given up: {self._unanswered} questions in a row had no answer")
        sent = json.dumps(body).encode()
        self._unanswered += 1
        url, policy = f"{str(self._policy.url).rstrip('/')}/chat/completions", self._policy
        answer = post(url, sent, self._headers, policy.seconds, policy.attempts, self._wait)
        self._unanswered = 0
        try:
            reply = json.loads(answer)
            text = reply["choices"][0]["message"]["content"]
            tokens = int((reply.get("usage") or {}).get("total_tokens") or (len(sent) + len(answer)) // 4)
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            raise EndpointError("unreadable", "the endpoint's answer has not the form of a completion") from None
        return Reply(text, tokens)


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
    attempts: int,
    wait: Callable[[float], None],
    pause: float = 1.0,
) -> bytes:
    """The answer to a body, asked for again where the other side is busy, breaks off or is no HTTP.

    Args:
        url, body, headers: what is sent.
        seconds: longest wait for one answer.
        attempts: at most so many times.
        wait: between them, `pause` seconds at first, twice as long each time, half a minute at most.

    Raises:
        EndpointError: timeout or failed after the last attempt, or at once where it was refused; unreadable where it is too long.
    """
    last = EndpointError("failed", "never asked")
    for attempt in range(attempts):
        if attempt:
            wait(min(30.0, pause * 2 ** (attempt - 1)))
        try:
            asked = urllib.request.Request(url, body, dict(headers), method="POST")
            with urllib.request.urlopen(asked, timeout=seconds) as reply:
                data = reply.read(_MOST_BYTES + 1)
                if reply.length and len(data) <= _MOST_BYTES:  # a read within a limit does not say that it was cut off
                    raise http.client.IncompleteRead(data, reply.length)
        except urllib.error.HTTPError as error:
            last = EndpointError("failed", f"the endpoint answered {error.code}")
            error.close()
            if error.code not in (408, 409, 429) and error.code < 500:
                raise last from None
        except TimeoutError:
            last = EndpointError("timeout", f"no answer within {seconds:g} s")
        except (http.client.HTTPException, OSError) as error:  # cut off, no HTTP at all, or no connection
            slow = isinstance(getattr(error, "reason", None), TimeoutError)
            last = EndpointError("timeout", "no answer in time") if slow else EndpointError("failed", "no connection")
        else:
            if len(data) > _MOST_BYTES:
                raise EndpointError("unreadable", f"the answer is longer than {_MOST_BYTES:,} bytes")
            return data
    raise last from None
