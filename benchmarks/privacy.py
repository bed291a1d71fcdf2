"""Personal data: what is found, what leaks and how fast, ours and Presidio alone side by side in one run.

    python benchmarks/privacy.py [--data FILE.jsonl.gz ...] [--policy privacy.yaml] [--docs N] [--json]

`--data`: rows with `full_text`, `spans` (entity_type, start_position, end_position) and perhaps `template_id`; templates with
an even number are one half, odd ones the other, both reported. Rows without `spans` count as text without personal data: every
find in any of their fields is shown as a count per kind. Docstrings of the
installed packages are always measured for speed and for what is found in them. A span leaks where any letter or digit of it
survives. Presidio alone: all its recognisers for English that need no model, score .4 or more, and no context (that needs one).
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import random
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ddd_llm.corpus.privacy.detect import Detector
from ddd_llm.corpus.privacy.policy import PrivacyPolicy
from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import CHECKOUT

# Entity types with a form, and the kinds of ours that stand for them. People, places, organisations, dates, ages, titles,
# nationalities and streets have none: declared lists or a model find those.
STRUCTURED = {
    "EMAIL_ADDRESS": {"EMAIL"},
    "PHONE_NUMBER": {"PHONE"},
    "IBAN_CODE": {"IBAN"},
    "CREDIT_CARD": {"CARD"},
    "IP_ADDRESS": {"IP"},
    "MAC_ADDRESS": {"MAC"},
    "US_SSN": {"SSN"},
    "NATIONAL_ID": {"NATIONAL_ID"},
    "TAX_ID": {"TAX_ID"},
    "HEALTH_ID": {"HEALTH_ID"},
    "PASSPORT": {"PASSPORT"},
    "US_DRIVER_LICENSE": {"DRIVER_LICENCE"},
    "BANK_ACCOUNT": {"BANK_ACCOUNT"},
    "CRYPTO": {"CRYPTO"},
    "BIRTH_DATE": {"BIRTH_DATE"},
    "ZIP_CODE": {"POSTCODE"},
    "DOMAIN_NAME": {"WEBSITE"},
}
PRESIDIO_TYPE = {"URL": "DOMAIN_NAME"}
Span = tuple[str, int, int]
Spans = Callable[[str], list[Span]]


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file, compressed or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def docstrings(count: int) -> list[str]:
    """Docstrings of the installed packages, in an order of their own, the same each time."""
    files = sorted(Path(sysconfig.get_path("purelib")).glob("*/**/*.py"))
    random.Random(1).shuffle(files)
    found: list[str] = []
    for file in files:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (said := ast.get_docstring(node)):
                found.append(said)
        if len(found) >= count:
            break
    return found[:count]


def presidio_alone() -> Spans:
    """All pattern recognisers for English of the installed Presidio."""
    from presidio_analyzer import PatternRecognizer, RecognizerRegistry
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer
    from tldextract import tldextract

    tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(
        suffix_list_urls=(), cache_dir=None
    )  # the packaged list: no network
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    recognizers = [one for one in registry.recognizers if isinstance(one, PatternRecognizer | PhoneRecognizer)]

    def spans(text: str) -> list[Span]:
        return [
            (PRESIDIO_TYPE.get(result.entity_type, result.entity_type), result.start, result.end)
            for recognizer in recognizers
            for result in recognizer.analyze(text, recognizer.supported_entities, None)  # type: ignore[arg-type]
            if result.score >= 0.4
        ]

    return spans


def ours(detector: Detector) -> Spans:
    """The detector's finds, under the names of the data set."""
    names = {kind: name for name, kinds in STRUCTURED.items() for kind in kinds}

    def spans(text: str) -> list[Span]:
        return [(names.get(found.kind, found.kind), found.start, found.end) for found in detector.find(text)]

    return spans


def survives(text: str, start: int, end: int, found: Iterable[Span]) -> bool:
    """Whether any letter or digit of a gold span is in no find."""
    left = {place for place in range(start, end) if text[place].isalnum()}
    for _, begin, stop in found:
        left.difference_update(range(begin, stop))
    return bool(left)


def judge(rows: list[dict[str, Any]], find: Spans) -> dict[str, Any]:
    """Leak of structured spans, and precision, recall and F1 per entity type.

    Right: a gold span that a find of its type overlaps. Wrong: a find that overlaps no gold span of any type, for gold labels
    the postcode in an address and the host in an e-mail with the whole.
    """
    leaked, spans, right, missed, wrong = (Counter[str]() for _ in range(5))
    for row in rows:
        text = row["full_text"]
        gold = [(s["entity_type"], s["start_position"], s["end_position"]) for s in row["spans"]]
        found = find(text)
        for kind, start, end in gold:
            if kind in STRUCTURED:
                spans[kind] += 1
                leaked[kind] += survives(text, start, end, found)
                hit = any(k == kind and begin < end and stop > start for k, begin, stop in found)
                right[kind] += hit
                missed[kind] += not hit
        for kind in {k for k, _, _ in found if k in STRUCTURED}:
            mine = [(begin, stop) for k, begin, stop in found if k == kind]
            wrong[kind] += sum(
                all(not (start < stop and end > begin) for _, start, end in gold) for begin, stop in mine
            )
    entities = {}
    for kind in sorted({*spans, *wrong}):
        precision = right[kind] / (right[kind] + wrong[kind]) if right[kind] + wrong[kind] else 0.0
        recall = right[kind] / spans[kind] if spans[kind] else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        entities[kind] = {"n": spans[kind], "leak": leaked[kind] / spans[kind] if spans[kind] else 0.0,
                          "precision": precision, "recall": recall, "f1": f1}  # fmt: skip
    hits, misses, false = sum(right.values()), sum(missed.values()), sum(wrong.values())
    total = sum(spans.values())
    return {
        "spans": total,
        "leak": sum(leaked.values()) / total if total else 0.0,
        "f1": 2 * hits / (2 * hits + misses + false) if hits else 0.0,
        "entities": entities,
    }


def speed(texts: list[str], work: Callable[[str], object], least_s: float = 1.0) -> float:
    """Megabytes (10^6 bytes of UTF-8) per second of CPU, the best of passes that take a second together."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    best, spent = 0.0, 0.0
    while spent < least_s:
        start = time.process_time()
        for text in texts:
            work(text)
        taken = time.process_time() - start
        best, spent = max(best, size / taken), spent + taken
    return best


def halves(rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """All rows, and those of even and of odd templates."""
    yield "all", rows
    if all("template_id" in row for row in rows):
        for name, rest in (("even templates", 0), ("odd templates", 1)):
            yield name, [row for row in rows if row["template_id"] % 2 == rest]


def text_of(row: Any) -> str:
    """All text of a row, whatever the fields are called and however deep they stand."""
    if isinstance(row, str):
        return row
    inner = row.values() if isinstance(row, dict) else row if isinstance(row, list) else ()
    return (
        row["full_text"]
        if isinstance(row, dict) and "full_text" in row
        else "\n".join(filter(None, map(text_of, inner)))
    )


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    policy = load_yaml(chosen.policy, PrivacyPolicy) if chosen.policy.exists() else PrivacyPolicy()
    detector, masker = Detector(policy, chosen.policy.parent), Pseudonymiser(bytes(32), policy, chosen.policy.parent)
    tools: dict[str, Spans] = {"ddd_llm": ours(detector), "presidio": presidio_alone()}
    result: dict[str, Any] = {"structured": list(STRUCTURED), "data": {}, "clean": {}}
    for path in chosen.data:
        rows = read(path)
        texts = [text_of(row) for row in rows]
        name = path.parent.name if path.name.startswith("data.") else path.name
        if all("spans" in row for row in rows):
            result["data"][name] = {
                "rows": len(rows),
                "halves": {
                    half: {tool: judge(some, find) for tool, find in tools.items()} for half, some in halves(rows)
                },
                "mb_per_cpu_s": {
                    "ddd_llm find": speed(texts, detector.find),
                    "ddd_llm apply": speed(texts, masker.apply),
                    "presidio": speed(texts, tools["presidio"]),
                },
            }
        else:
            result["clean"][name] = clean(texts, masker)
    texts = docstrings(chosen.docs)
    result["clean"]["docstrings"] = clean(texts, masker) | {
        "mb_per_cpu_s": {
            "ddd_llm find": speed(texts, detector.find),
            "ddd_llm apply": speed(texts, masker.apply),
            "presidio": speed(texts[: max(1, len(texts) // 10)], tools["presidio"]),
        }
    }
    return result


def clean(texts: list[str], masker: Pseudonymiser) -> dict[str, Any]:
    """What is replaced in texts that should hold little: per kind, secrets per form."""
    found = Counter(
        f"{one.kind}:{one.form}" if one.form else str(one.kind) for text in texts for one in masker.apply(text)[1]
    )
    size = sum(len(text.encode()) for text in texts) / 1e6
    return {"texts": len(texts), "mb": round(size, 2), "finds": dict(sorted(found.items()))}


def show(result: dict[str, Any]) -> None:
    """Tables for people."""
    for name, data in result["data"].items():
        print(f"\n{name} ({data['rows']} rows)")
        for half, tools in data["halves"].items():
            said = ", ".join(f"{tool} leak {one['leak']:.3f} F1 {one['f1']:.3f}" for tool, one in tools.items())
            print(f"  {half} ({tools['ddd_llm']['spans']} structured spans): {said}")
        print(
            f"  {'entity':<20}{'n':>5}"
            + "".join(f"{f'{tool} leak':>16}{'P':>7}{'R':>7}{'F1':>7}" for tool in ("ddd_llm", "presidio"))
        )
        both = data["halves"]["all"]
        for entity in sorted({*both["ddd_llm"]["entities"], *both["presidio"]["entities"]}):
            line = f"  {entity:<20}{both['ddd_llm']['entities'].get(entity, {'n': 0})['n']:>5}"
            for tool in ("ddd_llm", "presidio"):
                one = both[tool]["entities"].get(entity, {"leak": 0.0, "precision": 0.0, "recall": 0.0, "f1": 0.0})
                line += f"{one['leak']:>16.3f}{one['precision']:>7.3f}{one['recall']:>7.3f}{one['f1']:>7.3f}"
            print(line)
        print("  MB per CPU-s: " + ", ".join(f"{tool} {mb:.2f}" for tool, mb in data["mb_per_cpu_s"].items()))
    for name, data in result["clean"].items():
        print(f"\n{name}: {data['texts']:,} texts, {data['mb']} MB; replaced: {data['finds']}")
        if "mb_per_cpu_s" in data:
            print("  MB per CPU-s: " + ", ".join(f"{tool} {mb:.2f}" for tool, mb in data["mb_per_cpu_s"].items()))


def main() -> None:
    """Measure, print tables, and with --json one object as the last line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, nargs="*", default=[])
    arguments.add_argument("--policy", type=Path, default=CHECKOUT / "assets" / "policies" / "privacy.yaml")
    arguments.add_argument("--docs", type=int, default=10_000)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    if missing := [path for path in chosen.data if not path.is_file()]:
        sys.exit(f"no such file: {', '.join(map(str, missing))}")
    result = measure(chosen)
    show(result)
    if chosen.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
