#!/usr/bin/env python3
"""Writes golden trajectories for tests/test_golden from the published PyTorch code.

    git clone https://github.com/SamsungSAILMontreal/TinyRecursiveModels
    pip install torch numpy pydantic einops safetensors
    python3 tests/golden_from_pytorch.py TinyRecursiveModels FOLDER
    REEL_GOLDEN=FOLDER build/tests/test_golden

runs every case below; FOLDER/NAME.safetensors then holds five training steps of one. A case of your own is a
name and what differs from BASE or TRAIN:

    python3 tests/golden_from_pytorch.py TinyRecursiveModels FOLDER mine arch=hrm H_layers=3 mlp_t=true

The models, the loss head and the optimizer of the puzzle embeddings are the published classes, made to compute
in float64 by PATCHES below, which also mend two calls that crash there. AdamAtan2, AdamW and the moving average
are stated here, since their package needs a GPU. The keys of a file are explained in tests/test_golden.c.
"""
import argparse
import importlib
import importlib.abc
import importlib.util
import json
from pathlib import Path
import sys

import torch
from safetensors.torch import save_file

BASE = dict(
    arch="trm", batch_size=5, seq_len=9, vocab_size=7, num_puzzle_identifiers=3, hidden_size=32, num_heads=4,
    expansion=4, puzzle_emb_ndim=32, puzzle_emb_len=2, pos_encodings="rope", rope_theta=10000.0,
    rms_norm_eps=1e-5, H_cycles=2, L_cycles=3, H_layers=2, L_layers=2, halt_max_steps=3,
    halt_exploration_prob=0.0, mlp_t=False, loss_type="stablemax_cross_entropy")
TRAIN = dict(
    steps=5, lr=1e-3, weight_decay=0.1, beta1=0.9, beta2=0.95, puzzle_emb_lr=1e-3, puzzle_emb_weight_decay=0.1,
    ema_rate=0.9, optimizer="adam_atan2", adamw_eps=1e-8, seed=0)

# puzzle_emb_len and no_ACT_continue are keys of trm and its kin alone. Where the baseline has no_ACT_continue
# off, its published forward is asked for the target that published training leaves out.
HRM = dict(arch="hrm", puzzle_emb_len=0)
BASELINE = dict(arch="transformers_baseline", puzzle_emb_len=0, H_layers=3)
CASES = {
    "trm_one_cycle": dict(H_cycles=1, L_cycles=1),
    "trm_continue": dict(no_ACT_continue=False),
    "trm_no_puzzle_emb": dict(puzzle_emb_ndim=0, puzzle_emb_len=0, pos_encodings="none"),
    # With seed 0 a gradient of the puzzle embeddings is so near 0 that float32 cannot tell its sign.
    "trm_mlp_continue": dict(mlp_t=True, pos_encodings="none", no_ACT_continue=False, seed=1),
    "trm_mlp_learned": dict(mlp_t=True, pos_encodings="learned", L_layers=1, H_cycles=1),
    "trm_4_layers": dict(L_layers=4, L_cycles=3, expansion=2, num_heads=2),
    "trm_one_step": dict(halt_max_steps=1),
    "singlez_continue": dict(arch="trm_singlez", no_ACT_continue=False, H_cycles=1),
    "singlez_mlp": dict(arch="trm_singlez", mlp_t=True, pos_encodings="none", L_layers=1, L_cycles=1),
    "hier6_few_cycles": dict(arch="trm_hier6", L_cycles=4, H_cycles=1),
    "hier6_continue": dict(arch="trm_hier6", L_cycles=6, no_ACT_continue=False, pos_encodings="learned"),
    "hier6_mlp": dict(arch="trm_hier6", L_cycles=2, mlp_t=True, pos_encodings="none", L_layers=1),
    "hrm_uneven": dict(HRM, H_layers=1, L_layers=3, H_cycles=3, L_cycles=1, puzzle_emb_ndim=48),
    "hrm_one_cycle": dict(HRM, H_cycles=1, L_cycles=1, pos_encodings="learned"),
    "hrm_mlp": dict(HRM, H_cycles=2, L_cycles=2, mlp_t=True, pos_encodings="none", H_layers=1, L_layers=1),
    "hrm_softmax": dict(HRM, L_cycles=4, loss_type="softmax_cross_entropy", optimizer="adamw"),
    "baseline_12_heads": dict(BASELINE, hidden_size=52, puzzle_emb_ndim=52, num_heads=12),
    "baseline_learned": dict(BASELINE, H_layers=1, pos_encodings="learned", puzzle_emb_ndim=70),
    "baseline_continue": dict(BASELINE, no_ACT_continue=False),
    "baseline_all_steps": dict(BASELINE, act_enabled=False),
}

# (what, by what): in every file of the checkout's models/
PATCHES = [
    (b"torch.float32", b"torch.float64"),
    (b", _, _ = self.inner(", b" = self.inner("),  # no_ACT_continue=False: inner returns three values
    (b"ignore_index: int = -100):", b"ignore_index: int = -100, valid_mask=None):"),  # softmax_cross_entropy
    (b"logits.to(torch.float64).view(", b"logits.to(torch.float64).reshape("),
]


class PatchedModels(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Imports `models` and what is in it from a checkout, patched and never from a cache."""

    def __init__(self, checkout):
        self.checkout = checkout

    def find_spec(self, name, path, target=None):
        place = self.checkout / name.replace(".", "/")
        if name.split(".")[0] != "models":
            return None
        if place.is_dir():
            return importlib.util.spec_from_loader(name, loader=None, is_package=True)
        return importlib.util.spec_from_loader(name, self, origin=str(place.with_suffix(".py")))

    def get_filename(self, name):
        return str((self.checkout / name.replace(".", "/")).with_suffix(".py"))

    def get_data(self, path):
        source = Path(path).read_bytes()
        for old, new in PATCHES:
            source = source.replace(old, new)
        return source


CLASSES = dict(
    trm="TinyRecursiveReasoningModel_ACTV1", trm_singlez="TinyRecursiveReasoningModel_ACTV1",
    trm_hier6="TinyRecursiveReasoningModel_ACTV1", hrm="HierarchicalReasoningModel_ACTV1",
    transformers_baseline="Model_ACTV2")


def single(x):
    """The nearest float32, as float64: what a file stores exactly."""
    return x.to(torch.float32).to(torch.float64)


def build(config, random):
    """The published model under its loss head, with values that leave nothing at zero."""
    module = importlib.import_module(f"models.recursive_reasoning.{config['arch']}")
    head = importlib.import_module("models.losses").ACTLossHead
    model = getattr(module, CLASSES[config["arch"]])(dict(config, forward_dtype="float64"))
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.5 if parameter.ndim == 1 else parameter.shape[-1] ** -0.5
            parameter.copy_(single(torch.randn(parameter.shape, generator=random) * scale))
        for name, buffer in model.named_buffers():
            if name.endswith(("_init", "puzzle_emb.weights")):
                buffer.copy_(single(torch.randn(buffer.shape, generator=random)))
    return head(model, config["loss_type"]).train()


def draw_batch(config, random):
    """Labels are ignored in places, in the first row all but one, so that an answer is right now and then."""
    B, S = config["batch_size"], config["seq_len"]

    def integers(high, shape):
        return torch.randint(0, high, shape, generator=random, dtype=torch.int32)

    labels = integers(config["vocab_size"], (B, S))
    ignored = torch.rand((B, S), generator=random) < 0.2
    ignored[0] = True
    ignored[:, 0] = False
    labels[ignored] = -100
    return dict(inputs=integers(config["vocab_size"], (B, S)), labels=labels,
                puzzle_identifiers=integers(config["num_puzzle_identifiers"], (B,)))


def gradient(p):
    return torch.zeros_like(p) if p.grad is None else p.grad


class Optimizer:
    """Decoupled weight decay, then AdamAtan2 or AdamW, and the moving average of the weights."""

    def __init__(self, parameters, train):
        self.parameters, self.train, self.t = parameters, train, 0
        self.m = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.v = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.ema = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def step(self):
        o, self.t = self.train, self.t + 1
        for name, p in self.parameters.items():
            g = gradient(p)
            p *= 1 - o["lr"] * o["weight_decay"]
            self.m[name].lerp_(g, 1 - o["beta1"])
            self.v[name].lerp_(g * g, 1 - o["beta2"])
            rate = o["lr"] / (1 - o["beta1"] ** self.t)
            root = (self.v[name] / (1 - o["beta2"] ** self.t)).sqrt()
            if o["optimizer"] == "adamw":
                p -= rate * self.m[name] / (root + o["adamw_eps"])
            else:
                p -= rate * torch.atan2(self.m[name], root)
            self.ema[name].lerp_(p, 1 - o["ema_rate"])
            p.grad = None


def one_step(head, carry, batch, config):
    """The carry after one published training step, its loss and what a file says of it."""
    kinds = ["logits", "q_halt_logits", "q_continue_logits"]
    wants_target = config["arch"] == "transformers_baseline" and not config.get("no_ACT_continue", True)
    more = dict(compute_target_q=True) if wants_target else {}
    carry, loss, metrics, outputs, _ = head(return_keys=kinds, carry=carry, batch=batch, **more)
    labels = carry.current_data["labels"]
    right = (outputs["logits"].argmax(-1) == labels) | (labels == -100)
    zero = torch.zeros(())  # where no target is set
    return carry, loss, {
        "logits": outputs["logits"],
        "q_halt": outputs["q_halt_logits"],
        "q_continue": outputs["q_continue_logits"],
        "lm_loss": metrics["lm_loss"].reshape(1),
        "q_halt_loss": metrics["q_halt_loss"].reshape(1),
        "q_continue_loss": metrics.get("q_continue_loss", zero).reshape(1),
        "steps": carry.steps,
        "halted": carry.halted.to(torch.uint8),
        "correct": right.all(-1).to(torch.uint8),
    }


def trajectory(config, train):
    """Every tensor of a file, by key."""
    random = torch.Generator().manual_seed(train["seed"])
    head = build(config, random)
    parameters = {name.removeprefix("model."): p for name, p in head.named_parameters()}
    puzzle_emb = head.model.puzzle_emb if config["puzzle_emb_ndim"] > 0 else None
    out = {f"init.{name}": p.detach().to(torch.float32) for name, p in parameters.items()}
    for name, buffer in head.named_buffers():
        if name.endswith(("_init", "puzzle_emb.weights")):
            out["buf." + name.removeprefix("model.")] = buffer.to(torch.float32)
    optimizer = Optimizer(parameters, train)
    if puzzle_emb is not None:
        sign_sgd = importlib.import_module("models.sparse_embedding").CastedSparseEmbeddingSignSGD_Distributed(
            puzzle_emb.buffers(), world_size=1, lr=train["puzzle_emb_lr"],
            weight_decay=train["puzzle_emb_weight_decay"])
    carry = None
    for k in range(train["steps"]):
        batch = draw_batch(config, random)
        out.update({f"batch.{k}.{name}": values for name, values in batch.items()})
        carry = head.initial_carry(batch) if carry is None else carry
        carry, loss, seen = one_step(head, carry, batch, config)
        out.update({f"step.{k}.{name}": values for name, values in seen.items()})
        (loss / config["batch_size"]).backward()
        if k == 0:
            out.update({f"grad.{name}": gradient(p) for name, p in parameters.items()})
        if puzzle_emb is not None:
            if k == 0:
                out["grad.puzzle_emb"] = puzzle_emb.local_weights.grad
            sign_sgd.step()
            sign_sgd.zero_grad()
        optimizer.step()
    out.update({f"final.{name}": p.detach() for name, p in parameters.items()})
    out.update({f"ema.{name}": p for name, p in optimizer.ema.items()})
    if puzzle_emb is not None:
        out["final.inner.puzzle_emb.weights"] = puzzle_emb.weights
    return {key: values.detach().clone().contiguous() for key, values in out.items()}


def value_of(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder of the published code")
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("name", nargs="?", help="a case, one of the built-in or a new one (all built-in)")
    parser.add_argument("change", nargs="*", help="KEY=VALUE: what the case differs in")
    arguments = parser.parse_args()
    if not (arguments.checkout / "models/recursive_reasoning/trm.py").is_file():
        parser.error(f"{arguments.checkout} has no models/recursive_reasoning/trm.py")
    sys.meta_path.insert(0, PatchedModels(arguments.checkout))
    torch.set_default_dtype(torch.float64)
    changes = dict(word.partition("=")[::2] for word in arguments.change)
    changes = {key: value_of(text) for key, text in changes.items()}
    names = [arguments.name] if arguments.name else list(CASES)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        case = dict(CASES.get(name, {}), **changes)
        config = dict(BASE, **{key: value for key, value in case.items() if key not in TRAIN})
        train = {key: case.get(key, value) for key, value in TRAIN.items()}
        tensors = trajectory(config, train)
        save_file(tensors, arguments.folder / f"{name}.safetensors",
                  metadata={"config": json.dumps(config), "train": json.dumps(train)})
        halted = sum(int(tensors[f"step.{k}.halted"].sum()) for k in range(train["steps"]))
        correct = sum(int(tensors[f"step.{k}.correct"].sum()) for k in range(train["steps"]))
        print(f"{name}: {train['steps']} steps, {halted} rows halted, {correct} right")


if __name__ == "__main__":
    main()
