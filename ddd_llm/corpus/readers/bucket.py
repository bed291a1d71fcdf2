"""Objects of an S3 bucket below one prefix: listing them, and each in turn through a private temporary copy.

Belongs here: S3. Does not belong here: any format (`dispatch`). Credentials come from where every AWS tool looks for
them (environment, profile, role), never from the sources file; error messages hold S3's error code and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from ddd_llm.corpus.readers.dispatch import Options, read_file
from ddd_llm.corpus.readers.folder import names_hidden, pattern
from ddd_llm.corpus.readers.items import BLOCK, DEFAULT_LIMITS, FileFault, Item, Limits, Refusal, spooled
from ddd_llm.corpus.readers.locators import escape

READER = "bucket/1"
"""Changes when the same objects would give other documents."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the objects are."""

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True)
class Object:
    """One object as a listing shows it; `etag` changes with its content."""

    locator: str
    key: str
    etag: str
    size: int


def read(
    place: Place, include: Sequence[str], options: Options, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Item | Refusal]:
    """Documents of all objects that match a glob, in the order of their keys.

    Refusals: those of `listing` and `dispatch.read_file`; `changed_while_reading`, `truncated` (fewer bytes came than
    were announced), `object_too_large`, `access_denied`, `object_missing`, `s3_error`.
    """
    client = _client(place)
    for found in listing(place, include, limits, client):
        if isinstance(found, Refusal):
            yield found
            continue
        with spooled() as copy:
            try:
                _download(client, place.bucket, found, copy, limits)
            except FileFault as fault:
                yield fault.refusal(found.locator)
                continue
            copy.seek(0)
            yield from read_file(found.locator, copy, found.size, options, limits)


def listing(
    place: Place, include: Sequence[str], limits: Limits = DEFAULT_LIMITS, client: Any = None
) -> Iterator[Object | Refusal]:
    """Objects below the prefix whose key behind it matches a glob, sorted by key; nothing is downloaded.

    Names that begin with a dot are left out unless a pattern says so. Keys that end with `/` are folders' marks.

    Refusals of the source: `access_denied`, `no_such_bucket`, `no_credentials`, `s3_unreachable`, `s3_error`,
    `too_many_files`.
    """
    import boto3.exceptions
    from botocore.exceptions import BotoCoreError, ClientError

    patterns = [(pattern(glob), names_hidden(PurePosixPath(glob))) for glob in include]
    count = 0
    try:
        client = client or _client(place)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix)
        for page in pages:
            for entry in page.get("Contents", ()):
                key = entry["Key"]
                name = key[len(place.prefix) :].lstrip("/")
                hidden = names_hidden(PurePosixPath(name))
                if key.endswith("/") or not name:
                    continue
                if not any(wanted >= hidden and glob.fullmatch(name) for glob, wanted in patterns):
                    continue
                count += 1
                if count > limits.files:
                    detail = f"more than {limits.files} objects; narrow the globs or raise the limit"
                    yield Refusal("", "too_many_files", detail)
                    return
                locator = "/".join(escape(part) for part in key.split("/"))
                yield Object(locator, key, entry["ETag"], entry["Size"])
    except (BotoCoreError, ClientError, boto3.exceptions.Boto3Error) as error:
        yield Refusal("", *_reason(error))


def _client(place: Place) -> Any:
    import boto3
    from botocore.config import Config

    settings = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 4},
        s3={"addressing_style": "path"} if place.endpoint_url else None,
    )
    session = boto3.session.Session()
    region = session.region_name or "us-east-1"
    return session.client("s3", endpoint_url=place.endpoint_url, region_name=region, config=settings)


def _download(client: Any, bucket: str, found: Object, copy: BinaryIO, limits: Limits) -> None:
    """The object's bytes into `copy`, exactly the ones that the listing told of."""
    from botocore.exceptions import BotoCoreError, ClientError

    if found.size > limits.total:
        raise FileFault("object_too_large", f"an object of {found.size} bytes; the limit is {limits.total}")
    came = 0
    try:
        answer = client.get_object(Bucket=bucket, Key=found.key, IfMatch=found.etag)
        with answer["Body"] as body:
            while block := body.read(BLOCK):
                came += len(block)
                if came > found.size:
                    break
                copy.write(block)
        if answer["ETag"] != found.etag or came > found.size:
            raise FileFault("changed_while_reading", "the object changed after it was listed; ingest again")
    except (BotoCoreError, ClientError) as error:
        raise FileFault(*_reason(error)) from None
    if came < found.size:
        raise FileFault("truncated", f"{came} of {found.size} bytes came", came)


def _reason(error: Exception) -> tuple[str, str]:
    """(reason, sentence) of a failed call; nothing of the call itself."""
    from botocore.exceptions import (
        ClientError,
        ConnectionError,
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    if isinstance(error, ClientError):
        code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
        if code in ("PreconditionFailed", "412"):
            return "changed_while_reading", "the object changed after it was listed; ingest again"
        if code in ("NoSuchBucket",):
            return "no_such_bucket", "there is no such bucket; mend the sources file"
        if code in ("NoSuchKey", "404"):
            return "object_missing", "the object went after it was listed; ingest again"
        if code in ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"):
            return "access_denied", f"S3 refuses these credentials ({code}); they need to list and get"
        return "s3_error", f"S3 answers {code if code.isalnum() else 'with an error'}"
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return "no_credentials", "no AWS credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(error, ConnectionError | HTTPClientError):
        return "s3_unreachable", f"the S3 server cannot be reached or broke off ({type(error).__name__})"
    return "s3_error", f"the S3 client fails ({type(error).__name__})"
