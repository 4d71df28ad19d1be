"""500 varied texts: what people send, and what nobody should."""

import random

LATIN = "the of model vector search river stone quickly embedding winter tokens running blue théorie naïve Straße"
OTHERS = "данные привет 东京 学习 مرحبا שלום 한국어 हिन्दी ไทย 🙂 🚀 👩‍👩‍👧 antidisestablishmentarianism O'Neill"
CODE = "x = y+1; def f(a): return a*2 <div> https://a.b/c?d=e 3.14159 2024-02-29 -- ... \t \n"
WORDS = [word for line in (LATIN, OTHERS, CODE) for word in line.split(" ")]

FIXED = [
    *("a", "Z", "7", ".", "?", " ", "é", "ß", "中", "あ", "ж", "🙂", "\n", "\u200b", "\x00", "[SEP]", "[MASK] [CLS]"),
    *("Hello world", "hello world", "HELLO WORLD", "  spaces   around  ", "tab\tand\nnewline", "a" * 300, "中" * 600),
    *(
        "👨‍👩‍👧‍👦" * 40,
        "e\u0301 is é",
        "ﬁ ligature ① Ⅷ",
        "מימין לשמאל and back",
        "\U0001f1e9\U0001f1ea flags \U0001f1eb\U0001f1f7",
    ),
    "def fib(n: int) -> int:\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n",
    "SELECT id, COUNT(*) FROM t WHERE x IS NOT NULL GROUP BY 1 HAVING COUNT(*) > 10;",
    '{"key": [1, 2.5e-3, null, true], "s": "\\u00e9"}',
]


def varied(count: int = 500, seed: int = 7) -> list[str]:
    """The fixed texts, then random ones of 1 to 2,000 words, mostly short."""
    rng = random.Random(seed)
    lengths = [1, 2, 3, 2000, 1999, 1000, 254, 255, 256, 257]
    lengths += [min(2000, max(1, round(rng.lognormvariate(1.6, 1.1)))) for _ in range(count)]
    texts = FIXED + [" ".join(rng.choices(WORDS, k=length)) for length in lengths]
    return texts[:count]
