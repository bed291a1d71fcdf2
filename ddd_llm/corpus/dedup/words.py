r"""What a token, a shingle and a shingle's hash are: the definition, in plain Python.

Here: `tokenise`, `shingle` and `shingle_hash`. Not here: the same over whole batches, fast (`shingles`).

A text's tokens are the `\w+` matches (Python's `re`, Unicode) in `text.lower()`, except that a character of a script written
without spaces between words (`SPACELESS`: Chinese, Japanese, Thai, Lao, Burmese, Khmer, ...) is a token by itself. A
text's shingles are its word n-grams, joined by one space; a text of fewer than n tokens has one shingle of all its
tokens, and a text without tokens has none. As in `re`, combining marks are no part of a word, so that NFD and NFC
differ: texts are expected in NFC.

A shingle stands for itself as a 64-bit hash: a hash of each token, combined by a polynomial modulo 2^64 (M. Rabin,
Fingerprinting by random polynomials, 1981; R. Karp, M. Rabin, 1987), which moves from one n-gram to the next in two
multiplications. The multiplier is 5 modulo 8, so that swapping tokens costs at most four bits, and the last bit is always
set, so that tables can mark free slots by 0: two different shingles have equal hashes with a probability of at most 2^-59.
No secret is in it: who wants to can make texts that collide.
"""

import re

# First and last code point (Unicode blocks) of the scripts whose words are not separated by spaces.
SPACELESS: tuple[tuple[int, int], ...] = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3005, 0x3007),  # ideographic iteration mark, closing mark, zero
    (0x3021, 0x303C),  # Hangzhou numerals, kana repeat marks
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x3190, 0x31BF),  # Kanbun, Bopomofo extended
    (0x31F0, 0x31FF),  # Katakana phonetic extensions
    (0x3400, 0x4DBF),  # CJK extension A
    (0x4E00, 0x9FFF),  # CJK unified ideographs
    (0xA980, 0xA9DF),  # Javanese
    (0xA9E0, 0xA9FF),  # Myanmar extended B
    (0xAA60, 0xAADF),  # Myanmar extended A, Tai Viet
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0xFF66, 0xFF9F),  # halfwidth Katakana
    (0x1AFF0, 0x1B16F),  # kana extended and supplement
    (0x20000, 0x3FFFF),  # CJK extensions B and later
)
_CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last in SPACELESS)
_TOKEN = re.compile(rf"[^\W{_CLASS}]+|(?!\W)[{_CLASS}]")


def tokenise(text: str) -> list[str]:
    """The tokens of `text`, in order (the definition in the module's docstring)."""
    return _TOKEN.findall(text.lower())


def shingle(text: str, ngram: int) -> list[str]:
    """The word `ngram`-grams of `text`, in order, repeats included."""
    tokens = tokenise(text)
    if len(tokens) < ngram:
        return [" ".join(tokens)] if tokens else []
    return [" ".join(tokens[i : i + ngram]) for i in range(len(tokens) - ngram + 1)]


_WORD = (1 << 64) - 1
P1, P2 = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
POLYNOMIAL = 0xA24BAED4963EE405


def token_hash(token: str) -> int:
    """64-bit hash of a token's UTF-8 bytes, eight at a time as little-endian words, the last one filled with zeros."""
    data = token.encode("utf-8", "surrogatepass")
    state = len(data) * P1 & _WORD
    for begin in range(0, max(len(data), 1), 8):
        state = (state ^ int.from_bytes(data[begin : begin + 8], "little")) * P2 & _WORD
        state ^= state >> 32
    state = state * P1 & _WORD
    return state ^ (state >> 29)


def shingle_hash(shingle: bytes) -> int:
    """64-bit hash of a shingle, given as tokens joined by one space."""
    state = 0
    for token in shingle.decode("utf-8", "surrogatepass").split(" "):
        state = (state * POLYNOMIAL + token_hash(token)) & _WORD
    state = (state ^ (state >> 32)) * P1 & _WORD
    return state ^ (state >> 29) | 1


def minhash_hash(shingle: bytes) -> int:
    """The 32 bits of a shingle that its MinHash is made of: a `hashfunc` for datasketch."""
    return shingle_hash(shingle) >> 32
