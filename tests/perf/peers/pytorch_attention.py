#!/usr/bin/env python3
"""gptbench's attention at the size of a real step, and PyTorch's own, against float32 in PyTorch.

Reads what tests/unit/kernels/test_attention_full.c writes to GPTBENCH_ATTENTION_DUMP: the inputs qkv and
dout, and per kernel KERNEL.out and KERNEL.dqkv, all raw bfloat16. The reference is the formula, softmax
of scaled scores, in float32 without TF32, with autograd's gradients. Errors are norms over 64 rows of a
head by those of the reference, the worst of all, in units of u = 2^-8, the most that one rounding to
bfloat16 changes a number relative to itself. Bounds are the number of roundings on the way to a result:
out 2 (weights, out), dq and dk 3 (out in delta, dS, the result), dv 2 (weights, dv). Prints a line for
each kernel and for PyTorch's scaled_dot_product_attention in bfloat16, by which the bounds can be judged,
and exits 1 where one of ours is beyond them.

    python3 tests/perf/peers/pytorch_attention.py --dump DIR --size 64x1024x12x64
"""
import argparse
import glob
import math
import os
import sys

import torch
import torch.nn.functional as F

BOUNDS = {"out": 2, "dq": 3, "dk": 3, "dv": 2}
U, ROWS = 2.0**-8, 64


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--dump", required=True)
    p.add_argument("--size", required=True, help="sequences x tokens x heads x head_dim")
    p.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try it out")
    p.add_argument("--chunk", type=int, default=4, help="sequences of the reference at once")
    return p.parse_args()


class Files:
    def __init__(self, o):
        self.o, self.size = o, [int(n) for n in o.size.split("x")]

    def read(self, name, parts):
        """(parts, B, H, T, D) on the device."""
        b, t, h, d = self.size
        path = os.path.join(self.o.dump, name + ".bf16")
        flat = torch.from_file(path, size=b * t * parts * h * d, dtype=torch.bfloat16)
        return flat.to(self.o.device).view(b, t, parts, h, d).permute(2, 0, 3, 1, 4)


def formula(q, k, v):
    t, d = q.shape[-2:]
    hidden = torch.ones(t, t, dtype=torch.bool, device=q.device).triu(1)
    scores = (q @ k.transpose(-1, -2) / math.sqrt(d)).masked_fill(hidden, -math.inf)
    return scores.softmax(-1) @ v


def both_ways(attention, qkv, dout):
    """out, dq, dk, dv."""
    inputs = [x.detach().clone().requires_grad_() for x in qkv]
    out = attention(*inputs)
    return dict(zip(BOUNDS, (out.detach(), *torch.autograd.grad(out, inputs, dout))))


def reference(qkv, dout, chunk):
    parts = []
    for b in range(0, qkv.shape[1], chunk):
        one = slice(b, b + chunk)
        parts.append(both_ways(formula, qkv[:, one].float(), dout[one].float()))
    return {name: torch.cat([part[name] for part in parts]) for name in BOUNDS}


def tiles(x):
    """Sums of squares over ROWS rows of a head; of the rest at the end too."""
    rows = x.double().square().sum(-1)
    return F.pad(rows, (0, -rows.shape[-1] % ROWS)).unflatten(-1, (-1, ROWS)).sum(-1)


def errors(result, want):
    worst = {}
    for name in BOUNDS:
        ratio = (tiles(result[name].float() - want[name]) / tiles(want[name])).sqrt().max().item()
        worst[name] = ratio / U if math.isfinite(ratio) else math.inf
    return worst


def main():
    o = parse()
    torch.backends.cuda.matmul.allow_tf32 = False
    files = Files(o)
    qkv, dout = files.read("qkv", 3), files.read("dout", 1)[0]
    want = reference(qkv, dout, o.chunk)
    results = {"pytorch": both_ways(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), qkv, dout)}
    kernels = [os.path.basename(f)[: -len(".dqkv.bf16")] for f in glob.glob(o.dump + "/*.dqkv.bf16")]
    for kernel in sorted(kernels, reverse=True):
        dqkv = files.read(kernel + ".dqkv", 3)
        results[kernel] = dict(zip(BOUNDS, (files.read(kernel + ".out", 1)[0], *dqkv)))
    beyond = [] if kernels else ["no kernel's results"]
    for kernel, result in results.items():
        worst = errors(result, want)
        print(f"{kernel}: " + ", ".join(f"{name} {worst[name]:.2f} u" for name in BOUNDS))
        beyond += [f"{kernel} {n}" for n in BOUNDS if kernel != "pytorch" and not worst[n] <= BOUNDS[n]]
    print("bounds: " + ", ".join(f"{name} {bound} u" for name, bound in BOUNDS.items()))
    if beyond:
        print("beyond: " + ", ".join(beyond))
        sys.exit(1)


if __name__ == "__main__":
    main()
