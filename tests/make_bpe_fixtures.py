#!/usr/bin/env python3
"""Makes tests/fixtures/bpe/*.tsv: texts with the token ids that other tokenizers give.

  python3 tests/make_bpe_fixtures.py VOCAB_BPE [TEXT...]

VOCAB_BPE is GPT-2's published merge list. Needs the packages tiktoken and tokenizers; nothing is
downloaded: both are set up from the merge list. Where they disagree the script stops.

published.tsv  text as hex, number of U+FFFD that decoding puts in, ids: with VOCAB_BPE
tiny.tsv       the same with tests/fixtures/bpe/tiny.bpe; the ids come from `tokenizers` and from
               the plain loop below (tiktoken merges by what a pair spells, not by pair, which is
               the same for the published list only)
texts.tsv      name, number of tokens, FNV-1a of the ids as little-endian int32, for each TEXT
"""
import pathlib
import random
import sys
import unicodedata

import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers

HERE = pathlib.Path(__file__).parent / "fixtures" / "bpe"
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def printable(byte):
    return 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte


ORDER = [b for b in range(256) if printable(b)] + [b for b in range(256) if not printable(b)]
STAND_IN, extra = {}, 256
for byte in range(256):
    STAND_IN[byte] = chr(byte if printable(byte) else extra)
    extra += not printable(byte)
BYTE = {symbol: byte for byte, symbol in STAND_IN.items()}


class Oracle:
    def __init__(self, path):
        lines = pathlib.Path(path).read_text(encoding="utf-8").split("\n")[1:-1]
        self.merges = [tuple(line.split(" ")) for line in lines]
        vocab = {STAND_IN[b]: i for i, b in enumerate(ORDER)}
        for left, right in self.merges:
            vocab[left + right] = len(vocab)
        assert len(vocab) == 256 + len(self.merges)
        self.vocab = vocab
        self.rank = {pair: i for i, pair in enumerate(self.merges)}
        self.hf = Tokenizer(models.BPE(vocab, self.merges))
        self.hf.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        ranks = {bytes(BYTE[c] for c in word): i for word, i in vocab.items()}
        self.tiktoken = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks,
                                          special_tokens={})

    def plain(self, text):
        """Merges line by line, every occurrence from the left."""
        ids = []
        for word, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text):
            parts = list(word)
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                if best not in self.rank:
                    break
                merged, i = [], 0
                while i < len(parts):
                    if tuple(parts[i:i + 2]) == best:
                        merged.append(parts[i] + parts[i + 1])
                        i += 2
                    else:
                        merged.append(parts[i])
                        i += 1
                parts = merged
            ids += [self.vocab[p] for p in parts]
        return ids

    def ids(self, text, published):
        ids = self.hf.encode(text).ids
        other = self.tiktoken.encode_ordinary(text) if published else self.plain(text)
        if ids != other:
            sys.exit(f"tokenizers disagree on {text!a}")
        return ids


def characters(first, last):
    return [chr(c) for c in range(first, last + 1)]


def pools():
    everything = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    numbers = [c for c in everything if unicodedata.category(c) in ("Nd", "Nl", "No")]
    white = list(" \n\t\r\v\f\x1c\x1f\x85\xa0\u1680\u180e\u2000\u200a\u200b\u2028\u2029\u202f\u205f"
                 "\u3000\ufeff\u2060\0") + ["  ", "\n\n"]
    contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "\u2019s", "''s", "'"]
    words = ["the", " the", "ing", "tion", " a", "he", "aaaa", "café", "SolidGoldMagikarp",
             "<|endoftext|>", "123", "1234567"]
    return [white, contractions, words, characters(32, 126), characters(0x300, 0x36F),
            characters(0x4E00, 0x9FFF), characters(0x1F300, 0x1FAFF) + ["\u200d", "\ufe0f"],
            numbers, characters(0x400, 0x4FF), characters(0x600, 0x6FF), characters(0xAC00, 0xD7A3),
            characters(0xA0, 0x17F), everything, everything[0x10000:], list("aaaaaab====    ----..")]


def random_texts(rng, count):
    choices = pools()
    for _ in range(count):
        mix = [rng.choice(choices) for _ in range(rng.randint(1, 4))]
        yield "".join(rng.choice(rng.choice(mix)) for _ in range(rng.choice([1, 3, 8, 20, 40])))


def broken_bytes(rng, count):
    for text in random_texts(rng, count):
        data = bytearray(text.encode())
        for _ in range(rng.randint(1, 6)):
            data.insert(rng.randint(0, len(data)), rng.choice(
                [0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xF5, 0xFF]))
            del data[rng.randrange(len(data))]
        yield bytes(data)
    yield from (b"\xe0\x80", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xc0\xaf",
                b"a\xc2", b"\xf0\x9f\x98 \xf0\x9f", b"\xe2\x80", b"\xff\xfe")


def write_cases(path, oracle, cases, published):
    with open(path, "w") as out:
        for data in cases:
            text = data.decode("utf-8", errors="replace")
            replaced = text.count("\ufffd") - data.count("\ufffd".encode())
            ids = " ".join(map(str, oracle.ids(text, published)))
            out.write(f"{data.hex()}\t{replaced}\t{ids}\n")


def fnv1a(ids):
    value = 0xCBF29CE484222325
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value


def main():
    rng = random.Random(20240520)
    published, tiny = Oracle(sys.argv[1]), Oracle(HERE / "tiny.bpe")
    assert len(published.merges) == 50000
    fixed = [b"", b" ", b"\n", b"Hello, world!", b"it's we'll I'd they've", b"don't 'S 's's",
             b"a  b   c \n\n\nd", b"trailing   ", b"   leading", "naïve café".encode(), b"x" * 60,
             b"=" * 200, b"a" * 301, b"ab" * 101, b"123 456 7890"]
    cases = fixed + [t.encode() for t in random_texts(rng, 300)] + list(broken_bytes(rng, 60))
    write_cases(HERE / "published.tsv", published, cases, True)
    small = ["aaab", "aaaab", "aaaaab", "a" * 47, "a" * 48, "a" * 49, "a" * 50 + "b", "ab" * 60,
             "baa" * 40, " the thing's 123  \n\n café \U0001f600...", "        the"]
    small += ["".join(rng.choice("aaab") for _ in range(rng.randint(1, 150))) for _ in range(60)]
    cases = [t.encode() for t in small] + [t.encode() for t in random_texts(rng, 40)]
    write_cases(HERE / "tiny.tsv", tiny, cases, False)
    if len(sys.argv) > 2:
        with open(HERE / "texts.tsv", "w") as out:
            for name in sys.argv[2:]:
                ids = published.tiktoken.encode_ordinary(pathlib.Path(name).read_text("utf-8"))
                out.write(f"{pathlib.Path(name).name}\t{len(ids)}\t{fnv1a(ids):016x}\n")


main()
