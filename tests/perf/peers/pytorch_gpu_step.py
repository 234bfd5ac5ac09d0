#!/usr/bin/env python3
"""Training steps of the model of docs/MODEL.md in PyTorch on a GPU, timed in blocks on request.

The peer of `make gpu-bench`: pytorch_model.py under torch.compile, with bfloat16 autocast, fused
AdamW, and the vocabulary padded to a multiple of 128 as is usual for speed. Compiles and warms up,
prints a line that starts with `ready`, and then for every line on its standard input runs --lead
steps and a block of --steps steps between two events and prints `MS ms/step, ...`, so that a script
can time it and something else in turn. The last block's numbers also go to --json.

Between blocks it gives the memory of its steps back, and with --lock peers warm up one at a time:
two of them and gptbench need not fit into a GPU together.

    echo | python3 tests/perf/peers/pytorch_gpu_step.py --layers 12 --heads 12 --width 768 \\
        --length 1024 --batch 64 --vocab 50257
"""
import argparse
import contextlib
import fcntl
import json
import sys
import time

import torch

import pytorch_model


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    pytorch_model.add_arguments(p)
    p.set_defaults(dtype="bf16")
    p.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try it out")
    p.add_argument("--eager", action="store_true", help="without torch.compile")
    p.add_argument("--steps", type=int, default=30, help="per block")
    p.add_argument("--warmup", type=int, default=10)
    p.add_argument("--lead", type=int, default=3, help="untimed steps before those of a block")
    p.add_argument("--lock", help="file that is locked while this one compiles and warms up")
    p.add_argument("--json", help="file for the last block's numbers")
    return p.parse_args()


class Peer:
    def __init__(self, o):
        self.o = o
        padded = argparse.Namespace(**vars(o))
        padded.vocab = (o.vocab + 127) // 128 * 128
        torch.manual_seed(1)
        torch.backends.cuda.matmul.allow_tf32 = False
        self.model = pytorch_model.Model(padded).to(o.device)
        self.run = self.model if o.eager else torch.compile(self.model)
        self.optimizer = pytorch_model.make_optimizer(self.model.parameters())
        tokens = torch.randint(0, o.vocab, (o.batch, o.length + 1), device=o.device)
        self.inputs, self.targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def step(self):
        with torch.autocast(self.o.device, dtype=torch.bfloat16, enabled=self.o.dtype == "bf16"):
            loss = self.run(self.inputs, self.targets)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def block(self, steps):
        """Milliseconds per step, and the last loss; nothing waits for the device inside."""
        for _ in range(self.o.lead):
            self.step()
        if self.o.device == "cpu":
            start = time.perf_counter()
            for _ in range(steps):
                loss = self.step()
            return (time.perf_counter() - start) * 1e3 / steps, loss.item()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        for _ in range(steps):
            loss = self.step()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / steps, loss.item()

    def give_back(self):
        if self.o.device != "cpu":
            torch.cuda.empty_cache()

    def peak_memory_bytes(self):
        return 0 if self.o.device == "cpu" else torch.cuda.max_memory_allocated()


@contextlib.contextmanager
def locked(path):
    """Alone among those that name this file; it is unlocked when the process ends, however it does."""
    if not path:
        yield
        return
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main():
    o = parse()
    start = time.perf_counter()
    with locked(o.lock):
        peer = Peer(o)
        peer.block(o.warmup)
        peer.give_back()
    name = "cpu" if o.device == "cpu" else torch.cuda.get_device_name()
    mode = "eager" if o.eager else "compile"
    print(
        f"ready: pytorch {torch.__version__} {mode} {o.dtype}, residual {o.residual}, on {name}, "
        f"after {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    for _ in sys.stdin:
        ms, loss = peer.block(o.steps)
        peer.give_back()
        result = {
            "step_avg_ms": ms,
            "tokens_per_s": o.batch * o.length / ms * 1e3,
            "peak_memory_bytes": peer.peak_memory_bytes(),
            "last_train_loss": loss,
            "pytorch": torch.__version__,
            "mode": mode,
            "precision": o.dtype,
            "residual": o.residual,
            "device": name,
        }
        print(
            f"{ms:.3f} ms/step, {result['tokens_per_s']:.0f} tokens/s, peak memory "
            f"{result['peak_memory_bytes'] / 2**20:.1f} MiB, loss {loss:.4f}",
            flush=True,
        )
        if o.json:
            with open(o.json, "w", encoding="utf-8") as file:
                json.dump(result, file, indent=2)


if __name__ == "__main__":
    main()
