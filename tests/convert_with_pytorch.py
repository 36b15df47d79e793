#!/usr/bin/env python3
"""Holds trm_convert against PyTorch itself.

    pip install torch numpy safetensors
    python3 tests/convert_with_pytorch.py build

writes files with torch.save, reads with torch.load(weights_only=True) what trm_convert wrote, and compares every
bit. Given the published code as well,

    git clone https://github.com/SamsungSAILMontreal/TinyRecursiveModels
    pip install pydantic einops pyyaml
    python3 tests/convert_with_pytorch.py build TinyRecursiveModels

it also builds the published models, saves them as published, and compares what trm_eval measures of the converted
checkpoint with what the published code computes on the same puzzles. Exit status 77: PyTorch is not installed.
"""
from collections import OrderedDict
import importlib
import json
from pathlib import Path
import subprocess
import sys
import tempfile

try:
    import numpy
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"SKIP: {missing}")
    sys.exit(77)

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
          torch.int8, torch.uint8, torch.bool]
failures = 0


def check(holds, what):
    global failures
    if not holds:
        failures += 1
        print(f"FAIL: {what}")


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"FAIL: {' '.join(str(word) for word in command)}: {done.stderr}")
    return done.stdout


def same_bits(a, b):
    return (a.dtype == b.dtype and a.shape == b.shape
            and a.contiguous().flatten().view(torch.uint8).equal(b.contiguous().flatten().view(torch.uint8)))


def compare(what, have, need):
    check(set(have) == set(need), f"{what}: {sorted(have)}, expected {sorted(need)}")
    for name in set(have) & set(need):
        check(same_bits(have[name], need[name]), f"{what}: {name} differs")


def random_tensor(shape, dtype):
    """Any bits, NaN among them, but for bool."""
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, dtype=torch.bool)
    size = torch.empty((), dtype=dtype).element_size()
    return torch.randint(0, 256, (*shape, size), dtype=torch.uint8).view(dtype).reshape(shape)


def round_trips(convert, folder):
    """Every dtype, and what torch.save makes of views, parameters and dictionaries."""
    tensors = {f"x.{str(dtype)[6:]}": random_tensor((3, 5), dtype) for dtype in DTYPES}
    tensors.update(scalar=torch.tensor(2.5), empty=torch.zeros(0, 4), six=random_tensor((2, 1, 3, 1, 2, 2), torch.int16))
    save_file(tensors, folder / "all.safetensors")
    run(convert, folder / "all.safetensors", folder / "all.pt")
    compare("safetensors to PyTorch", torch.load(folder / "all.pt", weights_only=True), tensors)
    run(convert, folder / "all.pt", folder / "again.safetensors")
    compare("and back", load_file(folder / "again.safetensors"), tensors)

    base = torch.arange(48.).reshape(4, 12)
    views = OrderedDict(transposed=base.t(), row=base[2], steps=base[1:, ::3], expanded=base[:1].expand(7, 12),
                        overlapping=base.flatten().as_strided((5, 4), (2, 3), 7), whole=base,
                        parameter=torch.nn.Parameter(base[:, 3:5]), none=base[:0])
    nested = {"epoch": 3, "lr": 1e-3, "big": 2**70, "note": "h\u00e9", "no": None, "model_state_dict": views,
              "list": [torch.ones(2), (torch.zeros(1), "x")], 7: torch.tensor(7), "size": torch.Size([1, 2])}
    flat = {f"model_state_dict.{name}": view.detach() for name, view in views.items()}
    flat.update({"list.0": torch.ones(2), "list.1.0": torch.zeros(1), "7": torch.tensor(7)})
    for protocol in 2, 3, 4, 5:
        torch.save(nested, folder / "nested.pt", pickle_protocol=protocol)
        run(convert, folder / "nested.pt", folder / "nested.safetensors", "--overwrite")
        compare(f"protocol {protocol}", load_file(folder / "nested.safetensors"), flat)


# ---- the published models

BASE = dict(batch_size=24, seq_len=16, vocab_size=6, num_puzzle_identifiers=1, hidden_size=64, num_heads=2,
            expansion=4, puzzle_emb_ndim=64, pos_encodings="rope", rope_theta=10000.0, rms_norm_eps=1e-5,
            H_cycles=2, L_cycles=2, H_layers=2, L_layers=2, halt_max_steps=4, halt_exploration_prob=0.1)
TRM = "TinyRecursiveReasoningModel_ACTV1"
# The two sum in another order, and every recursion carries the difference on: these hold for weights that were
# never trained. tests/test_golden.c compares in float64.
TOLERANCES = {"float32": 1e-3, "bfloat16": 0.15}
# name: module, class, name in the configuration, differences
MODELS = {
    "trm_att": ("trm", TRM, f"recursive_reasoning.trm@{TRM}",
                dict(puzzle_emb_len=4, mlp_t=False, no_ACT_continue=True, forward_dtype="float32")),
    "trm_mlp": ("trm", TRM, f"recursive_reasoning.trm@{TRM}",
                dict(puzzle_emb_len=4, mlp_t=True, no_ACT_continue=True, forward_dtype="float32")),
    "trm_bf16": ("trm", TRM, f"recursive_reasoning.trm@{TRM}",
                 dict(puzzle_emb_len=4, mlp_t=False, no_ACT_continue=True, forward_dtype="bfloat16")),
    "hrm": ("hrm", "HierarchicalReasoningModel_ACTV1", "hrm.hrm_act_v1@HierarchicalReasoningModel_ACTV1",
            dict(forward_dtype="float32")),
}


def build(case):
    module, name, _, differences = MODELS[case]
    torch.manual_seed(len(case))
    model = getattr(importlib.import_module(f"models.recursive_reasoning.{module}"), name)(dict(BASE, **differences))
    with torch.no_grad():
        model.inner.puzzle_emb.weights.normal_()
        model.inner.q_head.weight.normal_(std=0.3)
        model.inner.q_head.bias.zero_()
    return importlib.import_module("models.losses").ACTLossHead(model, "stablemax_cross_entropy").eval()


def published_values(head, data):
    """Metrics and answers after the last step, as the published evaluation computes them."""
    rows = {name: torch.from_numpy(numpy.load(data / f"test/all__{name}.npy").astype(numpy.int32))
            for name in ("inputs", "labels", "puzzle_identifiers")}
    rows["labels"] = torch.where(rows["labels"] == 0, -100, rows["labels"])
    with torch.no_grad():
        carry, done = head.initial_carry(rows), False
        while not done:
            carry, _, metrics, outputs, done = head(return_keys=["preds", "q_halt_logits"], carry=carry, batch=rows)
    count = float(metrics["count"])
    values = {key: float(metrics[key]) / count for key in ("accuracy", "exact_accuracy", "lm_loss", "q_halt_loss")}
    return values, outputs["preds"].numpy(), outputs["q_halt_logits"].float().numpy()


def published_model(case, programs, folder, data):
    import yaml
    _, _, name, differences = MODELS[case]
    tolerance = TOLERANCES[differences["forward_dtype"]]
    run_folder = folder / case
    run_folder.mkdir()
    head = build(case)
    state = OrderedDict((f"_orig_mod.{key}", value) for key, value in head.state_dict().items())
    torch.save(state, run_folder / "step_120")
    arch = {key: value for key, value in dict(BASE, **differences).items()
            if key not in ("batch_size", "seq_len", "vocab_size", "num_puzzle_identifiers")}
    arch.update(name=name, loss=dict(name="losses@ACTLossHead", loss_type="stablemax_cross_entropy"))
    config = dict(arch=arch, data_paths=[str(data)], data_paths_test=[], evaluators=[], global_batch_size=24,
                  epochs=10, eval_interval=10, lr=1e-4, lr_min_ratio=1.0, lr_warmup_steps=10, weight_decay=0.1,
                  beta1=0.9, beta2=0.95, puzzle_emb_lr=1e-4, puzzle_emb_weight_decay=0.1, project_name=None,
                  run_name=None, load_checkpoint=None, checkpoint_path=None, seed=0, checkpoint_every_eval=True,
                  min_eval_interval=0, eval_save_outputs=[], ema=False, ema_rate=0.999, freeze_weights=False)
    (run_folder / "all_config.yaml").write_text(yaml.dump(config))

    weights = folder / f"{case}.safetensors"
    run(programs / "trm_convert", run_folder / "step_120", weights)
    seen = json.loads(run(programs / "trm_eval", "--checkpoint", weights, "--json", "--output", folder / "answers.npy",
                          "--output-q", folder / "q.npy"))
    values, answers, q = published_values(head, data)
    worst = max(abs(seen[f"all/{key}"] - value) / max(abs(value), 1e-3) for key, value in values.items())
    q_off = numpy.abs(numpy.load(folder / "q.npy") - q).max() / numpy.abs(q).max()
    same = (numpy.load(folder / "answers.npy") == answers).mean()
    print(f"{case}: lm_loss {seen['all/lm_loss']:.7g}, published {values['lm_loss']:.7g}; largest difference of a "
          f"metric {worst:.1e}, of a halting logit {q_off:.1e}; {same:.2%} of the answers' cells equal")
    check(worst <= tolerance, f"{case}: metrics {seen}, published {values}")
    check(q_off <= tolerance, f"{case}: halting logits differ by {q_off}")
    check(same >= (1 if differences["forward_dtype"] == "float32" else 0.97), f"{case}: {same} of the cells equal")

    run(programs / "trm_convert", weights, run_folder / "step_121.pt", "--prefix", "_orig_mod.model.")
    back = torch.load(run_folder / "step_121.pt", weights_only=True)
    compare(f"{case}, back", back, state)
    torch.nn.Module.load_state_dict(torch.nn.ModuleDict({"_orig_mod": head}), back, strict=True, assign=True)


def main():
    programs = Path(sys.argv[1]).resolve() / "apps"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        round_trips(programs / "trm_convert", folder)
        if len(sys.argv) > 2:
            sys.path.insert(0, sys.argv[2])
            data = folder / "data"
            run(programs / "trm_data", "generate", "sudoku", "--size", 4, "--count", 4, "--test-count", 24,
                "--output-dir", data)
            for case in MODELS:
                published_model(case, programs, folder, data)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
