#!/usr/bin/env python3
"""Writes tests/fixtures/parity: what PyTorch says that the model of docs/MODEL.md computes.

    python tests/make_fixtures.py [--check]

This file is an implementation of docs/MODEL.md on its own: nothing in it was derived from the C
code that it is held against. The committed fixtures were made with Python 3.12, torch 2.15.0
(CPU), safetensors 0.8.0 and numpy 2.5.5; any other recent version gives the same values up to
rounding in float64. --check recomputes everything and compares with the committed files.

One directory per configuration:
    config.txt            `key = value` lines: the suite language's config and training keys, and
                          final_variant (see below)
    weights.safetensors   float32, PyTorch's names
    tokens.bin            a token shard; micro-batch m reads tokens [m*B*T, m*B*T + B*T]
    expected.safetensors  loss                     float64 (1): of micro-batch 0
                          <weight name>            float32: its gradient, computed in float64
                          train.<variant>.loss     float64 (10): the train loss of ten AdamW steps
                          train.<variant>.norm     float64 (10): the gradient's norm, unclipped
                          final.<weight name>      float32: after the ten steps of final_variant
The variants are plain (neither accumulation nor clipping, whatever config.txt says), accum, clip
and accum_clip; they use grad_accumulation_steps and grad_clip of config.txt. Everything starts
from the float32 weights and is computed in float64.
"""

import argparse
import math
import pathlib
import struct
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parent / "fixtures" / "parity"

DEFAULTS = dict(
    vocab_size=61,
    n_layer=2,
    n_head=4,
    n_embd=24,
    attention_type="standard",
    n_kv_head=4,
    window_size=64,
    n_latent=16,
    mlp_expansion_factor=4,
    mlp_hidden_multiple_of=0,
    use_swiglu_mlp=False,
    post_norm=False,
    qk_norm=False,
    batch_size=2,
    sequence_length=16,
    grad_accumulation_steps=2,
    num_iterations=10,
    learning_rate=0.004,
    warmup_iters=3,
    warmdown_iters=4,
    weight_decay=0.1,
)

CONFIGS = {
    "standard": dict(),
    "expansion2": dict(mlp_expansion_factor=2, vocab_size=97, batch_size=3, sequence_length=11),
    "expansion3": dict(mlp_expansion_factor=3, n_head=3),
    # 8/3 * 20 = 53.3, rounded up to 64
    "expansion8_3": dict(mlp_expansion_factor="8/3", mlp_hidden_multiple_of=16, n_head=2,
                         n_embd=20),
    "gqa": dict(attention_type="gqa", n_kv_head=2, vocab_size=67),
    "mqa": dict(attention_type="mqa", n_layer=3, mlp_expansion_factor=3),
    "sliding_window": dict(attention_type="sliding_window", window_size=5, sequence_length=24),
    "latent": dict(attention_type="latent", n_latent=16, mlp_expansion_factor=3),
    "swiglu": dict(use_swiglu_mlp=True, mlp_expansion_factor=3),
    "post_norm": dict(post_norm=True),
    "qk_norm": dict(qk_norm=True, n_head=2, n_embd=20, sequence_length=17),
    "gqa_swiglu_post_qk": dict(
        attention_type="gqa", n_kv_head=2, n_head=4, n_embd=32, mlp_expansion_factor=2,
        use_swiglu_mlp=True, post_norm=True, qk_norm=True),
    "window_post_qk": dict(
        attention_type="sliding_window", window_size=1, sequence_length=19, batch_size=3,
        post_norm=True, qk_norm=True),
    "latent_post_qk": dict(
        attention_type="latent", n_latent=40, mlp_expansion_factor=2,
        post_norm=True, qk_norm=True),
    "mqa_swiglu_8_3": dict(
        attention_type="mqa", n_head=2, use_swiglu_mlp=True, mlp_expansion_factor="8/3",
        mlp_hidden_multiple_of=8, n_embd=20, vocab_size=89),
    "window_swiglu_post": dict(
        attention_type="sliding_window", window_size=3, use_swiglu_mlp=True, post_norm=True,
        mlp_expansion_factor=2),
    "smallest": dict(
        n_layer=1, n_head=1, n_embd=4, vocab_size=5, batch_size=1, sequence_length=3),
    "one_token": dict(n_layer=1, n_head=3, n_embd=12, vocab_size=7, batch_size=5,
                      sequence_length=1, post_norm=True, qk_norm=True),
}

VARIANTS = ("plain", "accum", "clip", "accum_clip")


class Config:
    def __init__(self, values):
        for key, value in values.items():
            setattr(self, key, value)
        expansion = str(self.mlp_expansion_factor)
        top, _, bottom = expansion.partition("/")
        hidden = float(top) / float(bottom or 1) * self.n_embd
        if self.mlp_hidden_multiple_of:
            step = self.mlp_hidden_multiple_of
            hidden = math.ceil(hidden / step - 1e-9) * step
        self.hidden = round(hidden)
        assert abs(self.hidden - hidden) < 1e-9


# ---- the model ----


def rms_norm(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def rotate(x):
    """Half-split rotary embedding of x (B, heads, T, D)."""
    T, D = x.shape[-2:]
    inverse = 10000.0 ** (-2 * torch.arange(D // 2, dtype=torch.float64) / D)
    angle = torch.arange(T, dtype=torch.float64)[:, None] * inverse
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat((x1 * cos + x2 * sin, -x1 * sin + x2 * cos), dim=-1)


def linear(columns, rows):
    return nn.Linear(columns, rows, bias=False)


class Attention(nn.Module):
    """What all kinds share: heads, norm, rotation, masked softmax."""

    def __init__(self, c):
        super().__init__()
        self.n_head = self.n_kv_head = c.n_head
        self.qk_norm = c.qk_norm
        self.window = c.window_size if c.attention_type == "sliding_window" else None

    def attend(self, q, k, v):
        B, T, _ = q.shape
        q = q.view(B, T, self.n_head, -1).transpose(1, 2)
        k = k.view(B, T, self.n_kv_head, -1).transpose(1, 2)
        v = v.view(B, T, self.n_kv_head, -1).transpose(1, 2)
        if self.qk_norm:
            q, k = rms_norm(q), rms_norm(k)
        q, k = rotate(q), rotate(k)
        group = self.n_head // self.n_kv_head
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        score = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        distance = torch.arange(T)[:, None] - torch.arange(T)[None, :]
        seen = distance >= 0
        if self.window is not None:
            seen &= distance <= self.window
        weight = score.masked_fill(~seen, -math.inf).softmax(dim=-1)
        return (weight @ v).transpose(1, 2).reshape(B, T, -1)


class FusedAttention(Attention):
    """standard, sliding_window"""

    def __init__(self, c):
        super().__init__(c)
        self.c_attn = linear(c.n_embd, 3 * c.n_embd)
        self.c_proj = linear(c.n_embd, c.n_embd)

    def forward(self, x):
        return self.c_proj(self.attend(*self.c_attn(x).chunk(3, dim=-1)))


class GroupedAttention(Attention):
    """gqa, mqa"""

    def __init__(self, c):
        super().__init__(c)
        self.n_kv_head = 1 if c.attention_type == "mqa" else c.n_kv_head
        kv_width = self.n_kv_head * (c.n_embd // c.n_head)
        self.q_proj = linear(c.n_embd, c.n_embd)
        self.k_proj = linear(c.n_embd, kv_width)
        self.v_proj = linear(c.n_embd, kv_width)
        self.o_proj = linear(c.n_embd, c.n_embd)

    def forward(self, x):
        return self.o_proj(self.attend(self.q_proj(x), self.k_proj(x), self.v_proj(x)))


class LatentAttention(Attention):
    """latent: the heads divide n_latent dimensions"""

    def __init__(self, c):
        super().__init__(c)
        self.c_attn_fused = linear(c.n_embd, 3 * c.n_latent)
        self.out_proj_fused = linear(c.n_latent, c.n_embd)

    def forward(self, x):
        return self.out_proj_fused(self.attend(*self.c_attn_fused(x).chunk(3, dim=-1)))


class GeluMlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c_fc = linear(c.n_embd, c.hidden)
        self.c_proj = linear(c.hidden, c.n_embd)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="none"))


class SwigluMlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = linear(c.n_embd, c.hidden)
        self.value_proj = linear(c.n_embd, c.hidden)
        self.c_proj = linear(c.hidden, c.n_embd)

    def forward(self, x):
        return self.c_proj(F.silu(self.gate_proj(x)) * self.value_proj(x))


ATTENTION = dict(standard=FusedAttention, sliding_window=FusedAttention, gqa=GroupedAttention,
                 mqa=GroupedAttention, latent=LatentAttention)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attn = ATTENTION[c.attention_type](c)
        self.mlp = SwigluMlp(c) if c.use_swiglu_mlp else GeluMlp(c)
        self.post = rms_norm if c.post_norm else lambda y: y
        self.scale = 1 / math.sqrt(2 * c.n_layer)

    def forward(self, x):
        x = x + self.scale * self.post(self.attn(rms_norm(x)))
        return x + self.post(self.mlp(rms_norm(x)))


class GPT(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(c.vocab_size, c.n_embd),
            h=nn.ModuleList(Block(c) for _ in range(c.n_layer))))
        self.lm_head = linear(c.n_embd, c.vocab_size)
        self.lm_head.weight = self.transformer.wte.weight

    def forward(self, inputs, targets):
        x = self.transformer.wte(inputs)
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(rms_norm(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


# ---- training ----


def learning_rate(c, i):
    n = c.num_iterations
    if i < c.warmup_iters:
        return c.learning_rate * (i + 1) / c.warmup_iters
    if i < n - c.warmdown_iters:
        return c.learning_rate
    return c.learning_rate * (n - i) / c.warmdown_iters


def micro_batch(c, tokens, m):
    n = c.batch_size * c.sequence_length
    part = tokens[m * n : (m + 1) * n + 1]
    shape = (c.batch_size, c.sequence_length)
    return part[:-1].view(shape), part[1:].view(shape)


def train(c, model, tokens, accumulation, clip):
    """Ten AdamW steps; returns their losses and gradient norms."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1, betas=(0.9, 0.95), eps=1e-8,
                                  weight_decay=c.weight_decay, foreach=False)
    losses, norms = [], []
    for step in range(c.num_iterations):
        optimizer.param_groups[0]["lr"] = learning_rate(c, step)
        optimizer.zero_grad()
        total = 0
        for m in range(accumulation):
            loss = model(*micro_batch(c, tokens, step * accumulation + m)) / accumulation
            loss.backward()
            total += loss.item()
        norm = math.sqrt(sum(p.grad.pow(2).sum().item() for p in model.parameters()))
        if clip and norm > clip:
            for p in model.parameters():
                p.grad *= clip / norm
        optimizer.step()
        losses.append(total)
        norms.append(norm)
    return losses, norms


# ---- fixtures ----


def random_weights(c, seed):
    """MODEL.md's range of initial weights (not its generator)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = {}
    for name, p in GPT(c).named_parameters():
        bound = 1 / math.sqrt(p.shape[1])
        values = rng.uniform(-bound, bound, size=tuple(p.shape)).astype(np.float32)
        weights[name] = torch.from_numpy(values)
    return weights


def build(c, weights, dtype=torch.float64):
    model = GPT(c).to(dtype)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weights[name])
    return model


def bf16_errors(c, weights, batch, expected):
    """Worst relative error of a gradient tensor: with weights rounded to bf16 and float64
    arithmetic, and in PyTorch's bf16 autocast. No bf16 backend can do much better."""
    rounded = {key: value.bfloat16().float() for key, value in weights.items()}
    exact, mixed = build(c, rounded), build(c, weights, torch.float32)
    exact(*batch).backward()
    with torch.autocast("cpu", torch.bfloat16):
        loss = mixed(*batch)
    loss.backward()
    return [
        max(((p.grad - expected[key]).norm() / expected[key].norm()).item()
            for key, p in model.named_parameters())
        for model in (exact, mixed)]


def make(name, index):
    values = {**DEFAULTS, **CONFIGS[name]}
    c = Config(values)
    weights = random_weights(c, 1000 + index)
    rng = np.random.Generator(np.random.PCG64(2000 + index))
    count = 10 * c.grad_accumulation_steps * c.batch_size * c.sequence_length + 1
    # Zipf-like, so that the ten steps have something to learn
    rank = rng.permutation(c.vocab_size)
    share = 1 / (1 + rank)
    tokens = rng.choice(c.vocab_size, size=count, p=share / share.sum()).astype(np.uint16)
    ids = torch.from_numpy(tokens.astype(np.int64))

    model = build(c, weights)
    loss = model(*micro_batch(c, ids, 0))
    loss.backward()
    expected = {"loss": torch.tensor([loss.item()], dtype=torch.float64)}
    for key, p in model.named_parameters():
        expected[key] = p.grad.to(torch.float32)
    single = build(c, weights, torch.float32)(*micro_batch(c, ids, 0)).item()
    assert abs(single / loss.item() - 1) < 1e-6, "float32 and float64 disagree"

    bf16 = bf16_errors(c, weights, micro_batch(c, ids, 0), expected)

    final_variant = VARIANTS[index % 4]
    _, norms = train(c, build(c, weights), ids, 1, 0)
    clip = float(f"{0.8 * np.median(norms):.3g}")  # some steps are clipped, some are not
    for variant in VARIANTS:
        model = build(c, weights)
        accumulation = c.grad_accumulation_steps if "accum" in variant else 1
        losses, norms = train(c, model, ids, accumulation, clip if "clip" in variant else 0)
        expected[f"train.{variant}.loss"] = torch.tensor(losses, dtype=torch.float64)
        expected[f"train.{variant}.norm"] = torch.tensor(norms, dtype=torch.float64)
        if variant == final_variant:
            for key, p in model.named_parameters():
                expected[f"final.{key}"] = p.detach().to(torch.float32)
    # only keys that have an effect: gptbench refuses the others
    effect = dict(n_kv_head="gqa", window_size="sliding_window", n_latent="latent")
    values = {key: value for key, value in values.items()
              if effect.get(key, c.attention_type) == c.attention_type}
    lines = {**values, "grad_clip": clip, "final_variant": final_variant}
    text = "".join(f"{key} = {str(value).lower()}\n" for key, value in lines.items())
    print(f"{name:20} params {sum(w.numel() for w in weights.values()):6}  loss {loss.item():.6f}"
          f"  float32 off by {abs(single / loss.item() - 1):.1e}  {final_variant}"
          f" {losses[0]:.4f} -> {losses[-1]:.4f}  clip {clip}"
          f"  bf16 weights alone {bf16[0]:.4f}, autocast {bf16[1]:.4f}")
    return text, weights, tokens, expected


def write(directory, text, weights, tokens, expected):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.txt").write_text(text)
    save_file(weights, directory / "weights.safetensors")
    save_file(expected, directory / "expected.safetensors")
    header = struct.pack("<3i", 20240520, 1, len(tokens)).ljust(256 * 4, b"\0")
    (directory / "tokens.bin").write_bytes(header + tokens.astype("<u2").tobytes())


def check(directory, text, weights, tokens, expected):
    assert (directory / "config.txt").read_text() == text, f"{directory}: config.txt"
    raw = np.fromfile(directory / "tokens.bin", dtype="<u2", offset=1024)
    assert np.array_equal(raw, tokens), f"{directory}: tokens.bin"
    for file, values in (("weights", weights), ("expected", expected)):
        stored = load_file(directory / f"{file}.safetensors")
        assert stored.keys() == values.keys(), f"{directory}: names in {file}"
        for key, value in values.items():
            off = (stored[key].double() - value.double()).norm() / value.double().norm()
            assert off < 1e-6, f"{directory}: {file} {key} is off by {off:.2e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print(f"python {sys.version.split()[0]}, torch {torch.__version__}, numpy {np.__version__}")
    for index, name in enumerate(CONFIGS):
        (check if args.check else write)(ROOT / name, *make(name, index))


if __name__ == "__main__":
    main()
