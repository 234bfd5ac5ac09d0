"""The model of docs/MODEL.md in plain PyTorch, for the peers that gptbench is timed against.

Idiomatic code, with the library's own fused attention, RMS norm and AdamW. `arguments` holds the
fields of add_arguments: layers, heads, kv_heads (0: as many as heads), width, length, vocab,
expansion, swiglu, post_norm, qk_norm, residual.

Under autocast what an embedding gives stays float32, and so does the residual stream, as most code
has it; with residual bf16 it is bfloat16, half the bytes, as in gptbench.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


def add_arguments(p):
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--kv-heads", type=int, default=0, help="0: as many as heads")
    p.add_argument("--width", type=int, default=256)
    p.add_argument("--length", type=int, default=256)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--vocab", type=int, default=512)
    p.add_argument("--expansion", type=float, default=4)
    p.add_argument("--swiglu", action="store_true")
    p.add_argument("--post-norm", action="store_true")
    p.add_argument("--qk-norm", action="store_true")
    p.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    p.add_argument("--residual", choices=("fp32", "bf16"), default="fp32", help="type of the residual stream")


def rmsnorm(x):
    return F.rms_norm(x, (x.size(-1),), eps=1e-6)


class Rotary(nn.Module):
    def __init__(self, head_dim, length):
        super().__init__()
        frequencies = 10000.0 ** (-torch.arange(0, head_dim, 2).double() / head_dim)
        angles = torch.outer(torch.arange(length).double(), frequencies)
        self.register_buffer("cos", angles.cos().float()[None, :, None, :], persistent=False)
        self.register_buffer("sin", angles.sin().float()[None, :, None, :], persistent=False)

    def forward(self, x):
        length = x.size(1)
        cos, sin = self.cos[:, :length].to(x.dtype), self.sin[:, :length].to(x.dtype)
        x1, x2 = x.chunk(2, dim=-1)
        return torch.cat((x1 * cos + x2 * sin, x2 * cos - x1 * sin), dim=-1)


class Block(nn.Module):
    def __init__(self, o, rotary):
        super().__init__()
        self.o, self.rotary = o, rotary
        hidden = round(o.expansion * o.width)
        self.kv_heads = o.kv_heads or o.heads
        self.head_dim = o.width // o.heads
        kv_width = self.kv_heads * self.head_dim
        self.widths = (o.width, kv_width, kv_width)
        self.c_attn = nn.Linear(o.width, sum(self.widths), bias=False)
        self.c_proj = nn.Linear(o.width, o.width, bias=False)
        self.c_fc = nn.Linear(o.width, (2 if o.swiglu else 1) * hidden, bias=False)
        self.mlp_proj = nn.Linear(hidden, o.width, bias=False)
        self.scale = 1.0 / math.sqrt(2 * o.layers)

    def attention(self, x):
        batch, length, width = x.shape
        q, k, v = (
            u.view(batch, length, -1, self.head_dim)
            for u in self.c_attn(x).split(self.widths, -1)
        )
        if self.o.qk_norm:
            q, k = rmsnorm(q), rmsnorm(k)
        q, k = self.rotary(q), self.rotary(k)
        grouped = {"enable_gqa": True} if self.kv_heads != self.o.heads else {}
        y = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True, **grouped
        )
        return self.c_proj(y.transpose(1, 2).reshape(batch, length, width))

    def mlp(self, x):
        u = self.c_fc(x)
        if self.o.swiglu:
            gate, value = u.chunk(2, -1)
            return self.mlp_proj(F.silu(gate) * value)
        return self.mlp_proj(F.gelu(u))

    def forward(self, x):
        norm = rmsnorm if self.o.post_norm else (lambda u: u)
        # A norm gives float32 under autocast: the stream keeps its type.
        x = (x + self.scale * norm(self.attention(rmsnorm(x)))).to(x.dtype)
        return (x + norm(self.mlp(rmsnorm(x)))).to(x.dtype)


class Model(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.o = o
        self.wte = nn.Embedding(o.vocab, o.width)
        rotary = Rotary(o.width // o.heads, o.length)
        self.blocks = nn.ModuleList(Block(o, rotary) for _ in range(o.layers))
        for p in self.parameters():
            nn.init.uniform_(p, -p.size(1) ** -0.5, p.size(1) ** -0.5)

    def forward(self, tokens, targets):
        x = self.wte(tokens)
        if self.o.residual == "bf16":
            x = x.bfloat16()
        for block in self.blocks:
            x = block(x)
        logits = F.linear(rmsnorm(x), self.wte.weight)
        return F.cross_entropy(logits.float().view(-1, logits.size(-1)), targets.view(-1))


def make_optimizer(parameters):
    return torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
