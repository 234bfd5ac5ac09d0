#!/usr/bin/env python3
"""One training step of the model of docs/MODEL.md in plain PyTorch, timed.

The peer that `make bench` is held against (pytorch_model.py is the model), in eager mode or under
torch.compile, in float32 or with bfloat16 autocast.

    python3 bench/peers/pytorch_step.py --dtype bf16 --threads 2
    python3 bench/peers/pytorch_step.py --layers 12 --heads 12 --width 768 --batch 4 --vocab 50257

Prints the median ms/step over the timed steps and tokens/s.
"""
import argparse
import statistics
import time

import torch

import pytorch_model


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    pytorch_model.add_arguments(p)
    p.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    p.add_argument("--threads", type=int, default=0, help="0 = PyTorch's default")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--warmup", type=int, default=5)
    return p.parse_args()


def main():
    o = parse()
    if o.threads:
        torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    model = pytorch_model.Model(o)
    run = torch.compile(model) if o.compile else model
    optimizer = pytorch_model.make_optimizer(model)
    tokens = torch.randint(0, o.vocab, (o.batch, o.length + 1))
    times = []
    for step in range(o.warmup + o.steps):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.dtype == "bf16"):
            loss = run(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= o.warmup:
            times.append((time.perf_counter() - start) * 1e3)
    median = statistics.median(times)
    print(
        f"pytorch {torch.__version__} {o.dtype} {'compile' if o.compile else 'eager'} "
        f"threads {torch.get_num_threads()}: {median:.1f} ms/step median (best {min(times):.1f}), "
        f"{o.batch * o.length / median * 1e3:.0f} tokens/s, loss {loss.item():.4f}"
    )


if __name__ == "__main__":
    main()
