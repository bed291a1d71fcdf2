"""Credentials in text: keys, tokens, passwords.

Belongs here: the published form of each secret, and the test of what is assigned to a name like `password`. Does not
belong here: identifiers of people. A secret is always masked: nobody needs to know whether two texts held the same one.

Sources of the forms: AWS IAM user guide ("Understanding unique ID prefixes"); GitHub ("Behind GitHub's new authentication
token formats", 2021); GitLab ("Token overview"); Slack ("Token types"); Stripe ("API keys"); Google Cloud ("API keys");
OpenAI, Anthropic, npm, PyPI, Hugging Face, SendGrid, DigitalOcean, Shopify as in gitleaks 8 (config/gitleaks.toml, MIT);
RFC 7468 (PEM), RFC 4716 and OpenSSH PROTOCOL.key, RFC 4880 (PGP armor); RFC 7519 (JWT); RFC 3986 3.2.1 (user info);
GNU inetutils (.netrc); RFC 6750 and 7617 (Authorization). The entropy test follows truffleHog (Shannon entropy per character).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from ddd_llm.corpus.privacy.finds import Found, Kind, Strength

_B64 = r"[A-Za-z0-9+/]"
# Form, a cheap search that every match passes, the pattern; its group `s` is what is masked, the whole match without one.
_FORMS: tuple[tuple[str, str, str], ...] = (
    ("aws_access_key_id", r"A(?:KIA|SIA|BIA|CCA)", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("github_token", r"gh[pousr]_", r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36,255}"),
    ("github_token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
    ("gitlab_token", r"gl(?:pat|dt|rt|ptt|soat)-", r"\bgl(?:pat|dt|rt|ptt|soat)-[\w.-]{20,300}"),
    ("slack_token", r"x(?:ox[abeoprs]|app-)", r"(?<![A-Za-z0-9])(?:xox[abeoprs](?:\.xox[bp])?|xapp)-[A-Za-z0-9-]{10,250}"),
    ("slack_webhook", "hooks.slack", r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<s>[\w+/-]{20,120})"),
    ("stripe_key", r"k_(?:live|test)_", r"(?<![A-Za-z0-9])[srp]k_(?:live|test)_[A-Za-z0-9]{16,247}"),
    ("stripe_key", "whsec_", r"(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/=]{16,247}"),
    ("google_api_key", "AIza", r"(?<![A-Za-z0-9_-])AIza[\w-]{35}(?![\w-])"),
    ("google_oauth", "GOCSPX-", r"GOCSPX-[\w-]{28}"),
    ("google_oauth", r"ya29\.", r"(?<!\w)ya29\.[\w-]{20,2048}"),
    ("openai_key", "sk-", r"(?<![A-Za-z0-9-])sk-(?:proj-|svcacct-|admin-|ant-(?:api|admin|sid)\d\d-|or-v1-)[\w-]{20,300}"),
    ("openai_key", "sk-", r"(?<![A-Za-z0-9-])sk-[A-Za-z0-9]{32,64}(?![\w-])"),
    ("npm_token", "npm_", r"(?<!\w)npm_[A-Za-z0-9]{36}(?!\w)"),
    ("pypi_token", "pypi-AgE", r"pypi-AgE[\w-]{32,1000}"),
    ("huggingface_token", "hf_", r"(?<!\w)hf_[A-Za-z0-9]{34,40}(?!\w)"),
    ("sendgrid_key", "SG.", r"(?<!\w)SG\.[\w-]{16,32}\.[\w-]{16,64}"),
    ("digitalocean_token", "_v1_", r"(?<!\w)do[opr]_v1_[0-9a-f]{64}"),
    ("shopify_token", r"shp(?:at|ca|pa|ss)_", r"(?<!\w)shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("azure_key", r"A(?:ccountKey|ccessKey)=", rf"(?:AccountKey|SharedAccessKey)=(?P<s>{_B64}{{40,100}}={{0,2}})"),
    ("jwt", "eyJ", r"(?<![\w.-])eyJ[\w-]{8,4096}\.eyJ[\w-]{8,8192}\.[\w-]{0,4096}"),
    ("url_password", "://", r"://(?<=\w://)(?P<s>[^\s/:@<>\"'`?#]{0,128}:[^\s/@<>\"'`]{1,256})@(?=[\w\[{$-])"),
    ("authorization", "uthorization",
     r"uthorization[\"']?\s{0,2}[:=,]\s{0,2}[\"']?(?i:bearer|basic|token|digest)\s+(?P<s>[\w.~+/=-]{8,4096})"),
    ("authorization", "UTHORIZATION",
     r"UTHORIZATION[\"']?\s{0,2}[:=,]\s{0,2}[\"']?(?i:bearer|basic|token|digest)\s+(?P<s>[\w.~+/=-]{8,4096})"),
    ("netrc", r"password[ \t]+\S",
     r"(?<!\w)(?:machine\s+\S{1,255}|default)\s+login\s+\S{1,255}(?<![;,.:!?])\s+password\s+(?P<s>\S{1,255})"),
)  # fmt: skip
_PLAIN = re.compile(r"[\w:/-]+|SG\.|hooks\.slack")
_BY_WORD = [(hint, form, re.compile(pattern)) for form, hint, pattern in _FORMS if _PLAIN.fullmatch(hint)]
_BY_HINT = [
    (re.compile(hint), form, re.compile(pattern)) for form, hint, pattern in _FORMS if not _PLAIN.fullmatch(hint)
]
# What may be a sample: told by the value.
_CHECKED = frozenset({"url_password", "netrc", "authorization"})
_ARMOUR = re.compile(
    r"-----BEGIN (?P<label>(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?)-----|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"
)
_LONGEST_BLOCK = 32_768
_LINE_END = r"(?:\s|\\[nrt]|[\"'+,])*+"
_BODY = re.compile(
    rf"{_LINE_END}(?:[A-Za-z-]{{2,30}}: [^\n\\]{{0,200}}+{_LINE_END})*+(?:[A-Za-z0-9+/=]{{16,}}+{_LINE_END})*+"
)
_RUN = re.compile(r"[A-Za-z0-9+/]{16}")


def secrets(text: str) -> Iterator[Found]:
    """Secrets in a folded text, by published form, and values assigned to telling names."""
    called = [(form, pattern) for word, form, pattern in _BY_WORD if word in text]
    called += [(form, pattern) for hint, form, pattern in _BY_HINT if hint.search(text)]
    for form, pattern in called:
        for match in pattern.finditer(text):
            group = "s" if "s" in pattern.groupindex else 0
            if form not in _CHECKED or not _is_sample(match[group]):
                yield _found(form, match.start(group), match.end(group))
    if "PRIVATE KEY" in text:
        yield from _blocks(text)
    yield from _assignments(text)


def _found(form: str, start: int, end: int) -> Found:
    return Found(Kind.SECRET, start, end, "", Strength.SECRET, form)


def _blocks(text: str) -> Iterator[Found]:
    """Armoured private keys, whole; without an end line, as far as the text looks like one. A frame without a key stays."""
    begin = _ARMOUR.search(text)
    while begin:
        label = begin["label"]
        last = f"-----END {label}-----" if label else "---- END SSH2 ENCRYPTED PRIVATE KEY ----"
        stop = text.find(last, begin.end(), begin.end() + _LONGEST_BLOCK)
        body = _BODY.match(text, begin.end())
        end = stop + len(last) if stop >= 0 else begin.end() + len(body[0].rstrip() if body else "")
        if _RUN.search(text, begin.end(), stop if stop >= 0 else end):
            yield _found("private_key", begin.start(), end)
        begin = _ARMOUR.search(text, end)


_NAMES = (
    r"passw(?:or)?d|passwd|pwd|passphrase|secret|api[_-]?key|apikey|access[_-]?key|auth[_-]?token|access[_-]?token|"
    r"refresh[_-]?token|private[_-]?key|client[_-]?secret|secret[_-]?key|account[_-]?key|encryption[_-]?key|token|credentials?"
)
_STEMS = {
    stem: re.compile(stem + r"[a-z0-9_-]{0,24}[\"'\])]{0,2} ?(?:[:=]| is )")
    for stem in ("passw", "pwd", "passphrase", "secret", "key", "token", "credential")
}
_ASSIGNED = re.compile(
    rf"(?<![A-Za-z])(?P<name>(?:[\w-]{{0,40}}[_-])?(?:{_NAMES})(?:[_-]?(?:id|value|string|\d{{1,2}}))?)[\"'\])]{{0,2}} ?(?:=>|:=|[:=](?!=)| is ) ?"  # noqa: E501
    r"(?:[brufBRUF]{0,2}(?P<q>[\"'`])(?P<quoted>[^\"'`\n<>]{4,256})(?P=q)|(?P<bare>[^\s\"'`<>(){}\[\],;|\\&]{6,256}))",
    re.IGNORECASE,
)
_CODE_LIKE = re.compile(
    r"[A-Za-z_][\w.]*\(|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:[\[(].*)?\Z|\$|%|\{|[A-Z_][A-Z_]*\Z|[/~.][a-z_./-]*\Z|https?://"
)
# The whole value is a stand-in: a word for one, a row of one sign, "your-...", a type or constant.
_SAMPLE = re.compile(
    r"(?i:(?:[\w-]{0,12}[_-])?([x*._#-])\1{2,}(?:[_-][\w-]{0,12})?|\.{3}|(?:your|my|the|some|an?)[_ -][\w .-]*|"
    r"(?:[a-z]+[_-])*(?:example|sample|dummy|placeholder|changeme|change[_-]me|redacted|secret|token|pass(?:word|wd)?)(?:[_-][a-z]+)*|"
    r"(?:user(?:name)?|login|name):(?:pass(?:word|wd)?|pwd|secret|\*+|x+)|none|null|true|false|str(?:ing)?|optional|todo)\Z"
)
_WORDLIKE = re.compile(r"[A-Za-z]{1,24}(?:[ _.-][A-Za-z]{1,24})*[.:!?]?\Z")


def _assignments(text: str) -> Iterator[Found]:
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(low if len(low := character.lower()) == 1 else character for character in text)
    firsts = [match.start() for stem, hint in _STEMS.items() if stem in lowered and (match := hint.search(lowered))]
    if not firsts:
        return
    for match in _ASSIGNED.finditer(text, max(0, min(firsts) - 64)):
        group = "quoted" if match["quoted"] is not None else "bare"
        value = match[group]
        word = "pass" in match["name"].lower() or "pwd" in match["name"].lower()
        if group == "bare":
            if text[match.end() : match.end() + 1] in ("(", "[") and value.isidentifier():  # a call, a subscript
                continue
            value = value.rstrip(".:!?")
        if _is_sample(value) or _CODE_LIKE.match(value) or not _random(value, quoted=group == "quoted", password=word):
            continue
        yield _found("assigned", match.start(group), match.start(group) + len(value))


def _is_sample(value: str) -> bool:
    return _SAMPLE.match(value) is not None or len(set(value)) < 3


def _random(value: str, quoted: bool, password: bool) -> bool:
    """Whether a value looks chosen at random: classes of characters, and bits per character.

    A password may be short: two classes of characters, one of them digits or signs, are enough. A key or token has 16
    characters and at least 3 bits of Shannon entropy a character, with digits.
    """
    if _WORDLIKE.fullmatch(value) and not (password and quoted and " " not in value and _mixed(value)):
        return False
    classes = sum(
        any(test(character) for character in value)
        for test in (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum() and c not in " _")
    )
    if password:
        return " " not in value and classes >= 2 and (len(value) >= 8 or classes >= 3) and entropy(value) >= 2.0
    return len(value) >= 16 and " " not in value and any(c.isdigit() for c in value) and entropy(value) >= 3.0


def _mixed(value: str) -> bool:
    """Capitals inside a word, as no name in prose has them and few in code."""
    return len(re.findall(r"[a-z][A-Z]", value)) >= 2


def entropy(value: str) -> float:
    """Shannon entropy of the characters, in bits per character."""
    length = len(value)
    return -sum(count / length * math.log2(count / length) for count in Counter(value).values())
