"""TRM's step in PyTorch: a plain statement of the published algorithm, to time ours against.

    python3 trm_torch.py --variant mlp --hidden 512 --batch 16 --dtype bf16 --compile --json
    python3 trm_torch.py --forward-only --json
    python3 trm_torch.py --gemm-roof --dtype f32 --json

The options are those of bench_step, and so is the work: one supervision step on random puzzles, in training
with gradients, AdamAtan2 and a moving average of the weights. As in the published code, weights are kept in
f32 and cast at every use. Everything an expert would write is there (fused attention, torch.compile over the
whole step); nothing is written that PyTorch does not offer.
"""

import argparse
import json
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F

WARM_UP = 3
VOCAB = 11
LAYERS = 2
EXPANSION = 4
HALT_MAX_STEPS = 16
ROOF_SIZE, ROOF_RUNS, ROOF_PRODUCTS = 4096, 3, 5
CUT_DEVIATION = 0.87962566  # of a unit normal cut at two deviations
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


# ---- the model: B batch, S puzzle tokens, P puzzle embedding tokens, T = P + S, D hidden ----


def swiglu_width(width, round_width):
    return -(-round(EXPANSION * width * 2 / 3) // round_width) * round_width


def truncated_normal(shape, std):
    std /= CUT_DEVIATION
    return torch.nn.init.trunc_normal_(torch.empty(shape), std=std, a=-2 * std, b=2 * std)


class TRM:
    def __init__(self, a):
        self.P, self.D, self.T, self.heads = a.puzzle_len, a.hidden, a.puzzle_len + a.seq, a.heads
        self.H, self.L, self.mlp_t = a.H, a.L, a.variant == "mlp"
        self.dtype, self.device = DTYPES[a.dtype], a.device
        weights = self.shapes(a.round_width)
        self.w = {name: truncated_normal(shape, shape[1] ** -0.5) for name, shape in weights.items()}
        self.w["q_head"].zero_()
        self.w["q_bias"] = torch.full((2,), -5.0)
        self.w = {name: w.to(a.device).requires_grad_() for name, w in self.w.items()}
        self.y_init, self.z_init = (truncated_normal((self.D,), 1.0).to(a.device, self.dtype) for _ in range(2))
        self.cos, self.sin = self.rotary_table(self.D // self.heads)

    def shapes(self, round_width):
        D, T = self.D, self.T
        I, I_t = swiglu_width(D, round_width), swiglu_width(T, round_width)
        shapes = {"embed": (VOCAB, D), "lm_head": (VOCAB, D), "q_head": (2, D)}
        for i in range(LAYERS):
            if self.mlp_t:
                shapes |= {f"{i}.t_gate_up": (2 * I_t, T), f"{i}.t_down": (T, I_t)}
            else:
                shapes |= {f"{i}.qkv": (3 * D, D), f"{i}.o": (D, D)}
            shapes |= {f"{i}.gate_up": (2 * I, D), f"{i}.down": (D, I)}
        return shapes

    def rotary_table(self, d):
        angles = torch.outer(torch.arange(self.T).float(), 10000.0 ** (-torch.arange(0, d, 2).float() / d))
        angles = torch.cat((angles, angles), -1)[:, None].to(self.device)
        return angles.cos(), angles.sin()

    def latents(self, B):
        return [v.expand(B, self.T, self.D).clone() for v in (self.y_init, self.z_init)]

    def linear(self, x, name):
        return F.linear(x, self.w[name].to(x.dtype))

    def norm(self, x):
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-5)).to(x.dtype)

    def swiglu(self, x, gate_up, down):
        gate, up = self.linear(x, gate_up).chunk(2, -1)
        return self.linear(F.silu(gate) * up, down)

    def rotate(self, x):
        left, right = x.chunk(2, -1)
        turned = torch.cat((-right, left), -1).float()
        return (x.float() * self.cos + turned * self.sin).to(x.dtype)

    def attention(self, x, i):
        B, T, D = x.shape
        q, k, v = self.linear(x, f"{i}.qkv").view(B, T, 3 * self.heads, D // self.heads).split(self.heads, 2)
        q, k, v = (t.transpose(1, 2) for t in (self.rotate(q), self.rotate(k), v))
        o = F.scaled_dot_product_attention(q, k, v)
        return self.linear(o.transpose(1, 2).reshape(B, T, D), f"{i}.o")

    def net(self, x):
        for i in range(LAYERS):
            if self.mlp_t:
                x = x.transpose(1, 2)
                x = self.norm(x + self.swiglu(x, f"{i}.t_gate_up", f"{i}.t_down")).transpose(1, 2)
            else:
                x = self.norm(x + self.attention(x, i))
            x = self.norm(x + self.swiglu(x, f"{i}.gate_up", f"{i}.down"))
        return x

    def recursion(self, x, y, z):
        for _ in range(self.L):
            z = self.net(z + y + x)
        return self.net(y + z), z

    def embed(self, inputs, puzzle_rows):
        cells = F.embedding(inputs, self.w["embed"].to(self.dtype))
        puzzle = F.pad(puzzle_rows.to(self.dtype), (0, (self.P - 1) * self.D)).view(-1, self.P, self.D)
        return math.sqrt(self.D) * torch.cat((puzzle, cells), 1)

    def step(self, y, z, inputs, labels, puzzle_rows):
        """One supervision step: y and z (B, T, D) improved, and the loss."""
        x = self.embed(inputs, puzzle_rows)
        with torch.no_grad():
            for _ in range(self.H - 1):
                y, z = self.recursion(x, y, z)
        y, z = self.recursion(x, y, z)
        logits = self.linear(y, "lm_head")[:, self.P :]
        q_halt = (self.linear(y[:, 0], "q_head") + self.w["q_bias"].to(y.dtype)).float()[:, 0]
        correct = (logits.argmax(-1) == labels).all(-1)
        lm_loss = stablemax_cross_entropy(logits, labels).mean(-1).sum()
        q_loss = F.binary_cross_entropy_with_logits(q_halt, correct.float(), reduction="sum")
        return y.detach(), z.detach(), (lm_loss + 0.5 * q_loss) / len(labels)


def stablemax_cross_entropy(logits, labels):
    """In f64, as published."""
    wide = logits.double()
    s = torch.where(wide < 0, 1 / (1 - wide + 1e-30), wide + 1)
    return -torch.log(s / s.sum(-1, keepdim=True)).gather(-1, labels[..., None])[..., 0]


class AdamAtan2:
    """With decoupled weight decay and a moving average of the weights."""

    def __init__(self, weights, lr=1e-4, betas=(0.9, 0.95), weight_decay=1.0, ema_rate=0.999):
        self.weights, self.lr, self.betas, self.t = list(weights), lr, betas, 0
        self.weight_decay, self.ema_rate = weight_decay, ema_rate
        self.m = [torch.zeros_like(w) for w in self.weights]
        self.v = [torch.zeros_like(w) for w in self.weights]
        self.ema = [w.detach().clone() for w in self.weights]

    @torch.no_grad()
    def step(self):
        self.t += 1
        b1, b2 = self.betas
        c1, c2 = 1 - b1**self.t, 1 - b2**self.t
        for w, m, v, ema in zip(self.weights, self.m, self.v, self.ema):
            w.mul_(1 - self.lr * self.weight_decay)
            m.lerp_(w.grad, 1 - b1)
            v.mul_(b2).addcmul_(w.grad, w.grad, value=1 - b2)
            w.add_(torch.atan2(m, (v / c2).sqrt()), alpha=-self.lr / c1)
            w.grad = None
            ema.lerp_(w, 1 - self.ema_rate)


# ---- timing ----


class Bench:
    """A model with its puzzles; step() is the work that is timed."""

    def __init__(self, a):
        self.a, self.model = a, TRM(a)
        # An evaluation has no optimizer: its state is no cost of a step.
        self.optimizer = None if a.forward_only else AdamAtan2(self.model.w.values())
        # On a GPU with CUDA graphs, which take the launches out of the step.
        mode = "reduce-overhead" if a.device == "cuda" else "default"
        self.supervise = torch.compile(self.model.step, mode=mode) if a.compile else self.model.step
        self.inputs, self.labels = (torch.randint(1, VOCAB, (a.batch, a.seq), device=a.device) for _ in range(2))
        self.y, self.z = self.model.latents(a.batch)
        self.steps_done = 0

    def step(self):
        if self.a.forward_only:
            self.evaluation_step()
        else:
            self.training_step()
        self.steps_done += 1

    def training_step(self):
        rows = torch.zeros(self.a.batch, self.a.hidden, device=self.a.device, requires_grad=True)
        self.y, self.z, loss = self.supervise(self.y, self.z, self.inputs, self.labels, rows)
        loss.backward()
        self.optimizer.step()

    @torch.inference_mode()
    def evaluation_step(self):
        if self.steps_done % HALT_MAX_STEPS == 0:
            self.y, self.z = self.model.latents(self.a.batch)
        rows = torch.zeros(self.a.batch, self.a.hidden, device=self.a.device)
        self.y, self.z, _ = self.supervise(self.y, self.z, self.inputs, self.labels, rows)


def timed(work, device):
    start = time.perf_counter()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def resident_peak_mib():
    """Not getrusage's ru_maxrss: a process inherits that from the one that started it."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def bench_model(a):
    bench = Bench(a)
    for _ in range(WARM_UP if a.steps else 0):
        bench.step()
    ms = sorted(1e3 * timed(bench.step, a.device) for _ in range(a.steps))
    median = statistics.median(ms) if ms else None
    return {
        "arch": a.variant,
        "work": "evaluation" if a.forward_only else "training",
        "compiled": a.compile,
        "hidden": a.hidden,
        "batch": a.batch,
        "step_ms": median and round(median, 2),
        "step_ms_min": round(ms[0], 2) if ms else None,
        "step_ms_max": round(ms[-1], 2) if ms else None,
        "puzzles_per_second": median and round(1e3 * a.batch / median, 2),
        "resident_peak_mib": round(resident_peak_mib(), 2),
        "device_peak_mib": round(torch.cuda.max_memory_reserved() / 2**20, 2) if a.device == "cuda" else None,
    }


def bench_roof(a):
    """The best of several medians, as in bench_step."""
    x, y = (torch.rand(ROOF_SIZE, ROOF_SIZE, device=a.device).to(DTYPES[a.dtype]) for _ in range(2))
    timed(lambda: x @ y, a.device)  # warm-up
    runs = [[timed(lambda: x @ y, a.device) for _ in range(ROOF_PRODUCTS)] for _ in range(ROOF_RUNS)]
    best = min(statistics.median(run) for run in runs)
    return {"size": ROOF_SIZE, "gemm_gflop_per_second": round(2e-9 * ROOF_SIZE**3 / best, 2)}


def arguments():
    p = argparse.ArgumentParser(description="Times a step of TRM in PyTorch.")
    p.add_argument("--variant", choices=("mlp", "att"), default="mlp", help="what mixes tokens")
    p.add_argument("--dtype", choices=DTYPES, default="f32")
    p.add_argument("--hidden", type=int, default=512)
    p.add_argument("--heads", type=int, default=8)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--seq", type=int, default=81, help="puzzle tokens")
    p.add_argument("--puzzle_len", type=int, default=16, help="puzzle embedding tokens")
    p.add_argument("--H", type=int, default=3, help="H_cycles")
    p.add_argument("--L", type=int, default=6, help="L_cycles")
    p.add_argument("--round_width", type=int, default=256, help="inner widths are multiples of it")
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--threads", type=int, default=torch.get_num_threads())
    p.add_argument("--compile", action="store_true", help="torch.compile the whole supervision step")
    p.add_argument("--steps", type=int, default=5, help="timed steps; 0 stops before the first")
    p.add_argument("--forward-only", action="store_true", help="evaluate, without gradient")
    p.add_argument("--gemm-roof", action="store_true", help="time one large matrix product instead of a step")
    p.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return p.parse_args()


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    report = {"torch": torch.__version__, "dtype": a.dtype, "threads": a.threads}
    try:
        report |= bench_roof(a) if a.gemm_roof else bench_model(a)
    except Exception as e:  # torch.compile alone knows dozens; the caller wants one line
        first_line = (str(e).strip() or "no message").splitlines()[0]
        sys.exit(f"trm_torch.py: {type(e).__name__}: {first_line}")
    print(json.dumps(report) if a.json else "\n".join(f"{k:<26} {v}" for k, v in report.items()))


if __name__ == "__main__":
    main()
