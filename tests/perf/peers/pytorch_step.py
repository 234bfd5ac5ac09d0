#!/usr/bin/env python3
"""Training steps of the model of docs/MODEL.md in plain PyTorch on the CPU, timed in blocks.

PyTorch's side of `make bench-peers` (pytorch_model.py is the model), in eager mode or under
torch.compile, in float32, with bfloat16 autocast, or with bfloat16 weights beside float32 masters.
Warms up, prints {"ready": "what this is"}, and then for every line on its standard input runs a block
of steps and prints {"step_ms": [..], "peak_rss_bytes": .., ..} on one line; what stands in the
way is {"failed": "why"}. tests/perf/bench_peer.c speaks the same.

    echo | python3 tests/perf/peers/pytorch_step.py --dtype bf16 --threads 2
    python3 tests/perf/peers/pytorch_step.py --probe    # which way to bfloat16 is the faster one here
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

import torch

import pytorch_model


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    pytorch_model.add_arguments(p)
    p.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    p.add_argument("--bf16", choices=("autocast", "master"), default="autocast")
    p.add_argument("--threads", type=int, default=0, help="0 = PyTorch's default")
    p.add_argument("--steps", type=int, default=8, help="timed steps of a block")
    p.add_argument("--lead", type=int, default=1, help="steps before them, untimed")
    p.add_argument("--warmup", type=int, default=3, help="steps before the first block")
    p.add_argument("--probe", action="store_true", help="print autocast or master, and stop")
    return p.parse_args()


def peak_rss_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Peer:
    def __init__(self, o):
        self.o = o
        torch.manual_seed(1)
        self.model = pytorch_model.Model(o)
        self.master = []
        if o.dtype == "bf16" and o.bf16 == "master":
            self.master = [p.detach().clone() for p in self.model.parameters()]
            self.model = self.model.bfloat16()
        self.optimizer = pytorch_model.make_optimizer(self.master or self.model.parameters())
        self.run = torch.compile(self.model) if o.compile else self.model
        tokens = torch.randint(0, o.vocab, (o.batch, o.length + 1))
        self.inputs, self.targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def update(self):
        """AdamW on float32: on the weights themselves, or on masters that the weights follow."""
        if not self.master:
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            return
        weights = list(self.model.parameters())
        for master, weight in zip(self.master, weights):
            master.grad = weight.grad.float()
            weight.grad = None
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_copy_(weights, self.master)

    def step(self):
        start = time.perf_counter()
        autocast = self.o.dtype == "bf16" and not self.master
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = self.run(self.inputs, self.targets)
        loss.backward()
        self.update()
        self.loss = loss.item()
        return (time.perf_counter() - start) * 1e3

    def describe(self):
        mode = "torch.compile" if self.o.compile else "eager"
        way = {"autocast": ", autocast", "master": ", bf16 weights and fp32 masters"}[self.o.bf16]
        return (
            f"PyTorch {torch.__version__} {mode} {self.o.dtype}"
            f"{way if self.o.dtype == 'bf16' else ''}, {torch.get_num_threads()} threads, "
            f"{torch.backends.cpu.get_cpu_capability()}, allocator "
            f"{os.environ.get('BENCH_PEERS_ALLOCATOR', 'as the system has it')}"
        )


def probe(o):
    """The faster of the two ways to bfloat16, by the median of a few steps in turn."""
    o.dtype = "bf16"
    peers = {}
    for way in ("autocast", "master"):
        peers[way] = Peer(argparse.Namespace(**{**vars(o), "bf16": way}))
        peers[way].step()
    times = {way: [] for way in peers}
    for _ in range(3):
        for way, peer in peers.items():
            times[way].append(peer.step())
    medians = {way: statistics.median(t) for way, t in times.items()}
    print(min(medians, key=medians.get), " ".join(f"{w} {m:.1f} ms" for w, m in medians.items()))


def say(**what):
    print(json.dumps(what), flush=True)


def main():
    o = parse()
    if o.threads:
        torch.set_num_threads(o.threads)
    if o.probe:
        probe(o)
        return
    base = peak_rss_bytes()
    try:
        peer = Peer(o)
        for _ in range(o.warmup):
            peer.step()
    except Exception as error:  # what a compiler can fail with has no common class
        text = [line for line in str(error).splitlines() if line.strip()]
        say(failed=f"{type(error).__name__}: {text[0] if text else ''}"[:300])
        sys.exit(1)
    say(ready=peer.describe())
    rss = 0
    for _ in sys.stdin:
        for _ in range(o.lead):
            peer.step()
        times = [peer.step() for _ in range(o.steps)]
        rss = rss or peak_rss_bytes()
        say(
            step_ms=times,
            peak_rss_bytes=rss,
            base_rss_bytes=base,
            loss=peer.loss,
            tokens_per_step=o.batch * o.length,
        )


if __name__ == "__main__":
    main()
