#!/usr/bin/env python3
"""Writes tests/fixtures/*_steps.safetensors: a few training steps of small networks as PyTorch computes them.

    pip install torch numpy safetensors
    python3 tests/steps_from_pytorch.py [FOLDER]

Everything is computed in float64 with PyTorch's own modules and its own AdamW. What a network starts from and
is shown are float32 values, which every dtype but bfloat16 holds exactly. The keys of a file are explained in
tests/test_steps.c, which states the same networks.
"""
import json
from pathlib import Path
import sys

import torch
from torch import nn
import torch.nn.functional as F
from safetensors.torch import save_file

STEPS = 3
# An eps as large as the gradients makes a step a smooth function of them; with the usual 1e-8 the first one
# would be their sign, which rounding turns where a gradient is nearly 0.
ADAMW = dict(lr=0.01, betas=(0.9, 0.95), eps=1e-2, weight_decay=0.1)


class Block(nn.Module):
    """Pre-norm block of GPT-2. Without the biases of q, k and v: that of k has gradient 0, all rounding."""

    def __init__(self, D, H):
        super().__init__()
        self.H = H
        self.norm_1, self.norm_2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.project = nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 2 * D), nn.Linear(2 * D, D)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (part.view(B, T, self.H, D // self.H).transpose(1, 2)
                   for part in self.qkv(self.norm_1(x)).split(D, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(y.transpose(1, 2).reshape(B, T, D))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class GPT(nn.Module):
    """Token and position embeddings, blocks, a norm, and the token embeddings again as the output map."""

    B, T, V, D, H, LAYERS = 2, 5, 7, 4, 2, 2

    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(self.V, self.D), nn.Embedding(self.T, self.D)
        self.blocks = nn.ModuleList(Block(self.D, self.H) for _ in range(self.LAYERS))
        self.norm = nn.LayerNorm(self.D)

    def batch(self, random):
        tokens = torch.randint(self.V, (self.B, self.T + 1), generator=random, dtype=torch.int32)
        return dict(inputs=tokens[:, :-1], labels=tokens[:, 1:])

    def loss(self, batch):
        x = self.tokens(batch["inputs"]) + self.positions(torch.arange(self.T))
        for block in self.blocks:
            x = block(x)
        logits = self.norm(x) @ self.tokens.weight.T
        return F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten().long())


class GRU(nn.Module):
    """A sequence through PyTorch's gated recurrent unit; every step tells two probabilities."""

    B, T, D, H, O = 3, 6, 4, 5, 2

    def __init__(self):
        super().__init__()
        self.gru, self.out = nn.GRU(self.D, self.H, batch_first=True), nn.Linear(self.H, self.O)

    def batch(self, random):
        return dict(inputs=torch.randn((self.B, self.T, self.D), generator=random),
                    targets=torch.rand((self.B, self.T, self.O), generator=random))

    def loss(self, batch):
        return F.binary_cross_entropy_with_logits(self.out(self.gru(batch["inputs"])[0]), batch["targets"])


def steps_of(network, random):
    """Every tensor of a file, by key."""
    out = {}
    with torch.no_grad():
        for name, p in network.named_parameters():
            start = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            scale = 0.5 if p.ndim == 1 else p.shape[-1] ** -0.5
            p.copy_((start + scale * torch.randn(p.shape, generator=random)).float())
            out[f"init.{name}"] = p.float()
    optimizer = torch.optim.AdamW(network.parameters(), **ADAMW)
    for k in range(STEPS):
        batch = {name: x.float() if x.is_floating_point() else x for name, x in network.batch(random).items()}
        out.update({f"batch.{k}.{name}": x for name, x in batch.items()})
        optimizer.zero_grad()
        loss = network.loss({name: x.double() if x.is_floating_point() else x for name, x in batch.items()})
        loss.backward()
        out[f"loss.{k}"] = loss.reshape(1)
        if k == 0:
            out.update({f"grad.{name}": p.grad for name, p in network.named_parameters()})
        optimizer.step()
    out.update({f"final.{name}": p for name, p in network.named_parameters()})
    return {key: x.detach().clone().contiguous() for key, x in out.items()}


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "fixtures"
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_default_dtype(torch.float64)
    for seed, network in enumerate([GPT, GRU]):
        tensors = steps_of(network(), torch.Generator().manual_seed(seed))
        path = folder / f"{network.__name__.lower()}_steps.safetensors"
        save_file(tensors, path, metadata={"adamw": json.dumps(ADAMW), "torch": torch.__version__})
        print(f"{path}: losses", *(f"{tensors[f'loss.{k}'].item():.6f}" for k in range(STEPS)))


if __name__ == "__main__":
    main()
