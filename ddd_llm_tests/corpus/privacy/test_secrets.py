"""A planted secret of any kind never survives; code that names secrets without holding one stays."""

from __future__ import annotations

import base64
import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser
from ddd_llm.corpus.privacy.secrets import entropy

MASK = Pseudonymiser(b"k" * 32)
ALNUM, HEX, UPPER32 = string.ascii_letters + string.digits, "0123456789abcdef", string.ascii_uppercase + "234567"


def draw(source: random.Random, alphabet: str, count: int) -> str:
    return "".join(source.choice(alphabet) for _ in range(count))


def jwt(source: random.Random) -> str:
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": draw(source, HEX, 12)}]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*coded, draw(source, ALNUM, 43)])


# Kind of secret: what is planted, and how it stands in a text.
PLANTED = {
    "aws_access_key_id": (lambda r: "AKIA" + draw(r, UPPER32, 16), "key {}"),
    "github_classic": (lambda r: "ghp_" + draw(r, ALNUM, 36), "token: {}"),
    "github_fine": (lambda r: "github_pat_" + draw(r, ALNUM, 22) + "_" + draw(r, ALNUM, 59), "{}"),
    "gitlab": (lambda r: "glpat-" + draw(r, ALNUM, 20), "use {} here"),
    "slack": (lambda r: "xoxb-" + draw(r, string.digits, 12) + "-" + draw(r, ALNUM, 24), "{}"),
    "slack_webhook": (lambda r: "T0" + draw(r, ALNUM, 9) + "/B0" + draw(r, ALNUM, 9) + "/" + draw(r, ALNUM, 24),
                      "https://hooks.slack.com/services/{}"),
    "stripe": (lambda r: "sk_live_" + draw(r, ALNUM, 24), "stripe.api_key = '{}'"),
    "google": (lambda r: "AIza" + draw(r, ALNUM, 35), "maps?key={}"),
    "openai": (lambda r: "sk-proj-" + draw(r, ALNUM, 48), "{}"),
    "anthropic": (lambda r: "sk-ant-api03-" + draw(r, ALNUM, 60), "{}"),
    "npm": (lambda r: "npm_" + draw(r, ALNUM, 36), "//registry:_authToken={}"),
    "pypi": (lambda r: "pypi-AgEIcHlwaS5vcmc" + draw(r, ALNUM, 80), "{}"),
    "huggingface": (lambda r: "hf_" + draw(r, ALNUM, 34), "login({})"),
    "sendgrid": (lambda r: "SG." + draw(r, ALNUM, 22) + "." + draw(r, ALNUM, 43), "{}"),
    "azure": (lambda r: draw(r, ALNUM, 86) + "==", "AccountName=x;AccountKey={};EndpointSuffix=y"),
    "jwt": (jwt, "Cookie: session={}"),
    "bearer": (lambda r: draw(r, ALNUM, 40), "Authorization: Bearer {}"),
    "connection": (lambda r: "svc:" + draw(r, ALNUM, 14), "postgresql://{}@db.internal:5432/app"),
    "netrc": (lambda r: draw(r, ALNUM, 12) + "7!", "machine api.host login bob password {}"),
    "password": (lambda r: draw(r, ALNUM, 10) + "9$x", "password = '{}'"),
    "api_key": (lambda r: draw(r, ALNUM, 30) + "4a", "API_KEY={}"),
    "aws_secret": (lambda r: draw(r, ALNUM + "+/", 38) + "7k", 'aws_secret_access_key: "{}"'),
    "client_secret": (lambda r: draw(r, HEX, 30) + "9f", '{{"client_secret": "{}"}}'),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
@given(
    seed=st.integers(0, 10_000),
    before=st.sampled_from(["", "x ", "see:\n", "(", "é\u200b "]),
    after=st.sampled_from(["", "\n", ")", ", etc", " end"]),
)
def test_a_planted_secret_never_survives(kind: str, seed: int, before: str, after: str) -> None:
    make, frame = PLANTED[kind]
    secret = make(random.Random(seed))
    masked, replaced = MASK.apply(before + frame.format(secret) + after)
    assert secret not in masked
    kept = max(len(one) for one in masked.split("<SECRET>"))
    assert not any(secret[at : at + 9] in masked for at in range(4, len(secret) - 9)), kept
    assert any(one.kind == "SECRET" and one.form for one in replaced)
    assert MASK.apply(masked) == (masked, [])


@pytest.mark.parametrize(
    "label", ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"]
)
@pytest.mark.parametrize("end", [True, False])
def test_private_keys_go_whole(label: str, end: bool) -> None:
    source = random.Random(1)
    lines = [draw(source, ALNUM + "+/", 64) for _ in range(12)]
    block = f"-----BEGIN {label}-----\n" + "\n".join(lines) + (f"\n-----END {label}-----" if end else "\n")
    masked, replaced = MASK.apply(f"Before\n{block}\nAfter all that, prose.")
    assert not any(line[:20] in masked for line in lines)
    assert masked.startswith("Before\n<SECRET>")
    assert masked.endswith("After all that, prose.")
    assert [one.form for one in replaced] == ["private_key"]


@pytest.mark.parametrize(
    "text",
    [
        "password = getpass()",
        "password = ReadOnlyPasswordHashField()",
        "password = getpass.getpass('Password: ')",
        "token = os.environ['TOKEN']",
        "api_key=None, secret: str = ''",
        "password: the user's password",
        "key = lambda item: item.name",
        'connect(password="<your password>")',
        "api_key: YOUR_API_KEY",
        "token = self.tokenizer.eos_token",
        "secret = ${{ secrets.DEPLOY_KEY }}",
        "primary_key=True, foreign_key='user.id'",
        "sort by key: alphabetical",
        "-----BEGIN PRIVATE KEY-----",
        "https://example.org/path?x=1@2",
        "machine learning and a default login page; password rules apply",
        "token_type_ids: list of token type ids",
    ],
)
def test_code_without_a_secret_stays(text: str) -> None:
    assert MASK.apply(text) == (text, [])


def test_entropy_is_shannons() -> None:
    assert entropy("aaaa") == 0
    assert entropy("abcd") == pytest.approx(2)
    assert entropy("aabb") == pytest.approx(1)


@pytest.mark.parametrize(
    "piece", ["-----BEGIN PRIVATE KEY-----\n", "password=", "eyJ", "://a:b", "key: '", "login x password "]
)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """Quadratic scanning of these would take minutes and run into the suite's timeout."""
    MASK.apply(piece * 6_000)
