#!/usr/bin/env python3
"""Prints the expected rows of test_synth_reference (tests/unit/model/test_loader.c): the process described in
model/synth.h, in plain Python integers. Needs nothing but Python 3."""

MASK = (1 << 64) - 1


def word(key, counter):
    """splitmix64: word number `counter` of the sequence that `key` starts."""
    z = (key + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class Chain:
    def __init__(self, vocab=256, seed=1, stream=0, order=1, classes=4, branch=8, ratio=0.5,
                 noise=1 / 16):
        self.vocab, self.order, self.classes, self.branch = vocab, order, classes, branch
        self.language, text = word(seed, 0), word(seed, 1)
        self.draw_key, self.token_key = word(text, 2 * stream), word(text, 2 * stream + 1)
        self.noise = int(noise * 2**32 + 0.5)
        total = sum(ratio**k for k in range(branch))
        tail = [int(ratio**k / total * 2**32 + 0.5) for k in range(1, branch)]
        self.weights = [2**32 - sum(tail)] + tail

    def successors(self, before, previous):
        context = previous
        if self.order == 2:
            context = previous * self.classes + before % self.classes
        key, found, attempt = word(self.language, context), [], 0
        while len(found) < self.branch:
            token = word(key, attempt) * self.vocab >> 64
            attempt += 1
            if token not in found:
                found.append(token)
        return found

    def is_noise(self, t):
        return word(self.draw_key, t & MASK) >> 32 < self.noise

    def step(self, t, before, previous):
        if self.is_noise(t):
            return word(self.token_key, t & MASK) * self.vocab >> 64
        low = word(self.draw_key, t & MASK) & 0xFFFFFFFF
        for token, weight in zip(self.successors(before, previous), self.weights):
            if low < weight:
                return token
            low -= weight
        raise AssertionError

    def read(self, position, count):
        t = position - self.order + 1
        while not all(self.is_noise(t + i) for i in range(self.order)):
            t -= 1
        before = previous = 0
        out = []
        while len(out) < count:
            before, previous = previous, self.step(t, before, previous)
            if t >= position:
                out.append(previous)
            t += 1
        return out


ROWS = [("synth:", {}, 0),
        ("synth:stream=val", {"stream": 1}, 0),
        ("synth:vocab=97,seed=7,stream=3,order=2,classes=5,branch=6,ratio=0.6,noise=0.2",
         {"vocab": 97, "seed": 7, "stream": 3, "order": 2, "classes": 5, "branch": 6,
          "ratio": 0.6, "noise": 0.2}, 1000000007)]

for spec, arguments, position in ROWS:
    tokens = ", ".join(str(token) for token in Chain(**arguments).read(position, 16))
    print(f'        {{"{spec}", {position}, {{{tokens}}}}},')
