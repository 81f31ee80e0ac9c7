"""Mutations that know what they mutate: documents by their keys, texts by their lines, files by their bytes."""

import copy
import math
import random
import string
import struct
from typing import Any

import yaml

NAMES = [
    "../../escape", "/etc/passwd", "a\x00b", "..", ".", "", " ", "a/b", "a\\b", "C:\\x", "-rf", "x" * 300, "名前", "ＡＢ",
    "a\nb",
    "\u202egnp.exe",
    "\x1b[31mred", "<script>alert(1)</script>", "'; DROP TABLE samples; --", "%s%n", "{class}", "{0.__class__}",
    "$HOME", "~root", "a" * 64, "a" * 65, "e\u0301", "\ud800", "🦆", "nul", "name\n",
]  # fmt: skip
NUMBERS = [
    0, -1, 1, 2, -(2**31), 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(10**30), 10**400, 0.0, -0.0, 0.5, 1.0,
    1e-320, 1e308,
    -1e308, math.nan, math.inf, -math.inf, 1e-5, 0.999999999, True, False,
]  # fmt: skip
OTHERS: list[Any] = [
    None,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"kind": None},
    [1, "a", None],
    {"a": {"b": {"c": 1}}},
    b"\xff\x00",
]
TEXTS = [
    "t**2", "9**9**9", "t" + "+t" * 150, "(" * 60 + "t" + ")" * 60, "lambda: 0", "__import__('os').system('x')",
    "1 if t < 0.5 else 2",
    "exp(exp(exp(t*9)))", "1/t", "log(-t)", "t**t", "0*t", "1e400", "sqrt(t)", "2024-02-30", "even", "all", "none",
    "linear", "exact",
    "mnist", "array", "s3://bucket/x", "http://127.0.0.1:9/x", "file:///etc/passwd", "memory://x", "5:3", "0x10",
    "1_000", "=", "<<",
]  # fmt: skip


def hostile(rng: random.Random) -> Any:
    """One value that somebody might write by mistake, or on purpose."""
    pool = rng.choice([NAMES, NUMBERS, NUMBERS, OTHERS, TEXTS])
    value = copy.deepcopy(rng.choice(pool))
    if rng.random() < 0.1:
        value = [value] * rng.choice([1, 2, 3, 30, 300])
    if rng.random() < 0.03:
        for _ in range(rng.choice([5, 50, 400])):
            value = [value] if rng.random() < 0.5 else {"a": value}
    return value


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every part of a document, itself left out."""
    found: list[tuple[Any, ...]] = []
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inner:
        found += [(*path, key), *places(value, (*path, key))]
    return found


def mutated(rng: random.Random, document: Any, donors: list[Any]) -> Any:
    """The document with one to four edits: values replaced, keys removed, renamed, copied, moved, taken from elsewhere."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 2, 4])):
        where = places(document)
        if not where:
            break
        path = rng.choice(where)
        node = document
        for part in path[:-1]:
            node = node[part]
        last = path[-1]
        match rng.randrange(8):
            case 0 | 1 | 2:
                node[last] = hostile(rng)
            case 3:
                del node[last]
            case 4 if isinstance(node, dict):
                node[rng.choice([*NAMES, *map(str, TEXTS), 1, None, True, 1.5])] = node.pop(last)
            case 4 | 5:
                node[last] = near(rng, node[last])
            case 6:
                donor = rng.choice(donors)
                there = places(donor)
                value = donor
                for part in rng.choice(there) if there else ():
                    value = value[part]
                node[last] = copy.deepcopy(value)
            case _:
                if isinstance(node, dict):
                    node[rng.choice([str(p[-1]) for p in where])] = copy.deepcopy(node[last])
                else:
                    node.extend([copy.deepcopy(node[last])] * rng.choice([1, 1, 5]))
    return document


def near(rng: random.Random, value: Any) -> Any:
    """A value close to the given one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice(
            [
                value + 1,
                value - 1,
                -value,
                value * 1000,
                value * 10**20,
                value + 0.5 if abs(value) < 2**60 else 0.5,
                str(value),
                [value],
            ]
        )
    if isinstance(value, float):
        return rng.choice(
            [value * 2, -value, value / 1e300, value * 1e300, str(value), int(value) if math.isfinite(value) else 0]
        )
    if isinstance(value, str):
        i = rng.randrange(len(value) + 1)
        return rng.choice(
            [value[:i], value + value, value[:i] + rng.choice(string.printable) + value[i:], value.upper(), [value]]
        )
    if isinstance(value, list):
        return rng.choice([value * 2, value[:1], value[::-1], value[0] if value else None, {"a": value}])
    if isinstance(value, dict):
        return rng.choice([list(value), [value], list(value.items()), str(value)])
    return hostile(rng)


# -- texts -------------------------------------------------------------------------------------------------------------

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
SNIPPETS = [
    "!!python/object/apply:os.system ['touch {canary}']", "!!python/object/new:os.system ['touch {canary}']",
    "!!python/name:os.system", "!!python/module:os", "!!binary |\n  R0lG", "!!set {a, b}", "!!omap [a: 1]",
    "!!timestamp 2024-99-99",
    "2024-13-45", "2024-01-01 25:61:61", "!!int abc", "!!int '1:99:99'", "!!float abc", "!custom {a: 1}", "&a [*a]",
    "*nothing",
    "<<: *x", "{<<: [1]}", "? [a, b]\n: c", "? {a: b}\n: c",
    "[" * 2000, "{a: " * 1500, "- " * 1500, "\t", "\x00", "\u0085", "\ufeff",
    "%YAML 9.9\n---\n", "---\n---\n", "...",
    "'unclosed", '"\\x0', '"\\ud800"', "1" * 6000, "1e" + "9" * 50, "0o" + "7" * 6000,
    "0b" + "1" * 9000, "1:" * 2000 + "1", ".inf", ".nan", "-.inf", "~", "yes", "no", "=", "!!bool maybe", "!!null x",
    "!!str", "!!seq {}",
    "!!map []", "!!merge x", "!!value x", "!", "!<tag:yaml.org,2002:python/none>", "|", ">", "@", "`", "&", "*",
    "# c", ":", "-", "? ",
]  # fmt: skip


def mutated_text(rng: random.Random, text: str) -> str:
    """YAML or JSON with something put in, or lines removed, doubled, moved or indented otherwise."""
    lines = text.split("\n")
    for _ in range(rng.choice([1, 1, 2, 3])):
        i = rng.randrange(len(lines))
        match rng.randrange(8):
            case 0 | 1 | 2:
                at = rng.randrange(len(lines[i]) + 1)
                colon = lines[i].find(": ") + 2
                at = colon if colon > 1 and rng.random() < 0.6 else at
                lines[i] = lines[i][:at] + rng.choice(SNIPPETS)
            case 3:
                lines.insert(i, lines[i])
            case 4 if len(lines) > 1:
                del lines[i]
            case 5:
                lines[i] = " " * rng.randrange(9) + lines[i].lstrip()
            case 6:
                lines.insert(i, rng.choice([LAUGHS, "x: &x {a: 1}", "name: again", *SNIPPETS]))
            case _:
                j = rng.randrange(len(lines))
                lines[i], lines[j] = lines[j], lines[i]
    return "\n".join(lines)


def dumped(document: Any) -> bytes:
    """A document as YAML, whatever is in it."""
    try:
        return yaml.dump(document, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, RecursionError, ValueError):
        return repr(document).encode("utf-8", "surrogatepass")


# -- bytes -------------------------------------------------------------------------------------------------------------

EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, 10**15]


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """Cut, flipped, overwritten with extreme numbers, doubled, filled up; the head, where lies are told, most often."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not out:
            return bytes(rng.randbytes(rng.randrange(64)))
        head = rng.random() < 0.6
        at = rng.randrange(min(len(out), 256) if head else len(out))
        if rng.random() < 0.15:  # the end is where zip archives and Parquet keep their index
            at = max(0, len(out) - rng.randrange(1, 300))
        match rng.randrange(8):
            case 0:
                del out[at:]
            case 1 | 2:
                out[at] ^= 1 << rng.randrange(8)
            case 3:
                form = rng.choice(["<B", "<H", "<I", "<Q", ">H", ">I", ">Q"])
                piece = struct.pack(form, rng.choice(EXTREMES) & (256 ** struct.calcsize(form) - 1))
                out[at : at + len(piece)] = piece
            case 4:
                out[at:at] = rng.randbytes(rng.randrange(1, 32))
            case 5:
                del out[at : at + rng.randrange(1, 64)]
            case 6:
                size = rng.randrange(1, 128)
                out[at:at] = out[at : at + size]
            case _:
                digits = [i for i in range(max(0, at - 64), min(len(out), at + 64)) if 0x30 <= out[i] <= 0x39]
                if digits:  # a length told in digits, as in .npy, JSON and YAML
                    i = rng.choice(digits)
                    out[i : i + 1] = rng.choice([b"9", b"0", b"-1", b"999999999999999", b"1e9", b"\x00"])
    return bytes(out)
