"""PyTorch's side of bench_ops --against-pytorch, which starts it: one question a line, one answer a line, JSON.

OPS has PyTorch's eager op for each op of ops/op_list.h; where it has none of that kind, what a user would write
in its place. An op that is missing there has no answer but an error.
"""

import json
import sys
import time
from contextlib import nullcontext

try:
    import torch
    import torch.nn.functional as F
except ImportError as e:
    torch = None
    missing = str(e)

WARM_UP_S = 2e-3
EVERY_SAMPLE = 4096


def axes_of(a):
    return [int(i) for i in a["axes"]] or None


def axis_of(a):
    return int(a["axis"][0])


def whole(a, name):
    return [int(v) for v in a[name]]


def maximum(x, axes):
    return x.max() if axes is None else x.amax(axes) if len(axes) > 1 else x.max(axes[0]).values


def over(f, x, axis):
    """f knows the last axis only."""
    return f(x) if axis in (-1, x.dim() - 1) else f(x.transpose(axis, -1)).transpose(axis, -1)


def rms_norm(x, weight, axis, eps):
    return over(lambda x: F.rms_norm(x, (x.shape[-1],), weight, eps), x, axis)


def layer_norm(x, weight, bias, axis, eps):
    return over(lambda x: F.layer_norm(x, (x.shape[-1],), weight, bias, eps), x, axis)


def swiglu(x, axis):
    gate, up = x.chunk(2, dim=axis)
    return F.silu(gate) * up


def product(x, weight, axis):
    return F.linear(x, weight) if axis == -1 else weight @ x


def rotary(x, cosine, sine):
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return (x * cosine.unsqueeze(-2) + turned * sine.unsqueeze(-2)).to(x.dtype)


def attention(q, k, v, mask, causal):
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)


def stablemax_cross_entropy(logits, labels):
    """As the published code has it (models/losses.py)."""
    x = logits.to(torch.float64)
    s = torch.where(x < 0, 1 / (1 - x + 1e-30), x + 1)
    log_probabilities = torch.log(s / torch.sum(s, dim=-1, keepdim=True))
    valid = labels != -100
    picked = torch.gather(log_probabilities, -1, torch.where(valid, labels, 0).unsqueeze(-1)).squeeze(-1)
    return -torch.where(valid, picked, 0).to(torch.float32)


def cross_entropy(logits, labels):
    flat = F.cross_entropy(logits.flatten(0, -2).float(), labels.flatten(), reduction="none")
    return flat.view(labels.shape)


def narrower(x):
    return x.to(torch.bfloat16 if x.dtype == torch.float32 else torch.float32)


def padded(x, axis, before, after):
    rest = x.dim() - 1 - axis % x.dim()
    return F.pad(x, [0, 0] * rest + [before, after])


# name: function of the inputs and the attributes
OPS = {
    "neg": lambda x, a: -x[0],
    "exp": lambda x, a: x[0].exp(),
    "log": lambda x, a: x[0].log(),
    "sqrt": lambda x, a: x[0].sqrt(),
    "rsqrt": lambda x, a: x[0].rsqrt(),
    "sigmoid": lambda x, a: x[0].sigmoid(),
    "tanh": lambda x, a: x[0].tanh(),
    "relu": lambda x, a: x[0].relu(),
    "gelu": lambda x, a: F.gelu(x[0]),
    "silu": lambda x, a: F.silu(x[0]),
    "scale": lambda x, a: x[0] * a["factor"][0],
    "add_scalar": lambda x, a: x[0] + a["constant"][0],
    "pow": lambda x, a: x[0] ** a["exponent"][0],
    "add": lambda x, a: x[0] + x[1],
    "add_n": lambda x, a: sum(x[1:], x[0]),
    "sub": lambda x, a: x[0] - x[1],
    "mul": lambda x, a: x[0] * x[1],
    "div": lambda x, a: x[0] / x[1],
    "eq": lambda x, a: x[0] == x[1],
    "lt": lambda x, a: x[0] < x[1],
    "le": lambda x, a: x[0] <= x[1],
    "where": lambda x, a: torch.where(x[0], x[1], x[2]),
    "matmul": lambda x, a: x[0] @ x[1],
    "linear": lambda x, a: F.linear(x[0], x[1], x[2] if len(x) > 2 else None),
    "sum": lambda x, a: x[0].sum(axes_of(a)),
    "mean": lambda x, a: x[0].mean(axes_of(a)),
    "max": lambda x, a: maximum(x[0], axes_of(a)),
    "argmax": lambda x, a: x[0].argmax(*(axes_of(a) or ())),
    "softmax": lambda x, a: x[0].softmax(axis_of(a)),
    "log_softmax": lambda x, a: x[0].log_softmax(axis_of(a)),
    "reshape": lambda x, a: x[0].reshape(whole(a, "shape")),
    "transpose": lambda x, a: x[0].transpose(*whole(a, "axes")),
    "permute": lambda x, a: x[0].permute(whole(a, "axes") + list(range(len(a["axes"]), x[0].dim()))),
    "expand": lambda x, a: x[0].expand(whole(a, "shape")),
    "narrow": lambda x, a: x[0].narrow(axis_of(a), whole(a, "start")[0], whole(a, "length")[0]),
    "split": lambda x, a: x[0].split(whole(a, "lengths"), axis_of(a)),
    "detach": lambda x, a: x[0].detach(),
    "clone": lambda x, a: x[0].clone(),
    "cast": lambda x, a: narrower(x[0]),
    "concat": lambda x, a: torch.cat(x, axis_of(a)),
    "stack": lambda x, a: torch.stack(x, axis_of(a)),
    "pad": lambda x, a: padded(x[0], axis_of(a), whole(a, "before")[0], whole(a, "after")[0]),
    "embedding": lambda x, a: F.embedding(x[1], x[0]) * a["scale"][0]
    if a["scale"][0] != 1
    else F.embedding(x[1], x[0]),
    "gather": lambda x, a: x[0].gather(axis_of(a), x[1]),
    "scatter_add": lambda x, a: x[0].scatter_add(axis_of(a), x[1], x[2]),
    "rms_norm": lambda x, a: rms_norm(x[0], x[1] if len(x) > 1 else None, axis_of(a), a["eps"][0]),
    "add_rms_norm": lambda x, a: rms_norm(x[0] + x[1], None, axis_of(a), a["eps"][0]),
    "layer_norm": lambda x, a: layer_norm(*(x + [None, None])[:3], axis_of(a), a["eps"][0]),
    "swiglu": lambda x, a: swiglu(x[0], axis_of(a)),
    "swiglu_linear": lambda x, a: product(swiglu(x[0], axis_of(a)), x[1], axis_of(a)),
    "gated_mlp": lambda x, a: product(swiglu(product(x[0], x[1], axis_of(a)), axis_of(a)), x[2], axis_of(a)),
    "rotary": lambda x, a: rotary(*x),
    "scaled_dot_product_attention": lambda x, a: attention(*(x + [None])[:4], a["causal"][0] != 0),
    "dropout": lambda x, a: F.dropout(x[0], a["p"][0], training=True),
    "softmax_cross_entropy": lambda x, a: cross_entropy(*x),
    "stablemax_cross_entropy": lambda x, a: stablemax_cross_entropy(*x),
    "binary_cross_entropy_with_logits": lambda x, a: F.binary_cross_entropy_with_logits(*x, reduction="none"),
}
# Inputs that never have a gradient, by op: for the others every floating one has.
CONSTANT = {"rotary": (1, 2), "scaled_dot_product_attention": (3,), "binary_cross_entropy_with_logits": (1,)}


class Peer:
    dtype = device = None

    def configure(self, q):
        torch.set_num_threads(q["threads"])
        torch.manual_seed(0)
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16, "f64": torch.float64}[q["dtype"]]
        self.device = torch.device(q["device"])
        return {}

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def tensor(self, i, spec, op):
        if spec is None:
            return None
        shape, values = spec["shape"], spec["values"]
        if values == "index":
            return torch.randint(spec["limit"], shape, device=self.device)
        if values == "condition":
            return torch.randint(2, shape, device=self.device).bool()
        low, high = (0.5, 2) if values == "positive" else (-1, 1)
        wide = values == "wide" and self.dtype != torch.float64
        x = torch.empty(shape, dtype=torch.float32 if wide else self.dtype, device=self.device)
        return x.uniform_(low, high).requires_grad_(i not in CONSTANT.get(op, ()))

    def begin(self, q):
        self.inputs = [self.tensor(i, spec, q["op"]) for i, spec in enumerate(q["inputs"])]
        self.attributes = q["attributes"]
        self.op = OPS[q["op"]]
        self.mode = torch.no_grad if q["no_grad"] else nullcontext
        self.leaves = [x for x in self.inputs if x is not None and x.requires_grad]
        y = self.call()
        self.gradients = [torch.empty_like(r).uniform_(-1, 1) for r in y] if self.is_recorded(y) else None
        return {}

    def call(self):
        with self.mode():
            y = self.op(self.inputs, self.attributes)
        return y if isinstance(y, (tuple, list)) else (y,)

    @staticmethod
    def is_recorded(y):
        return all(r.requires_grad for r in y)

    def once(self, forward, backward):
        self.wait()
        start = time.perf_counter()
        y = self.call()
        self.wait()
        forward.append(time.perf_counter() - start)
        if self.gradients:
            start = time.perf_counter()
            torch.autograd.grad(y, self.leaves, self.gradients)
            self.wait()
            backward.append(time.perf_counter() - start)

    def run(self, q):
        end = time.perf_counter() + WARM_UP_S
        while time.perf_counter() < end:
            self.once([], [])
        forward, backward = [], []
        end = time.perf_counter() + q["seconds"]
        while len(forward) < q["least"] or (time.perf_counter() < end and len(forward) < EVERY_SAMPLE):
            self.once(forward, backward)
        return {"forward": forward, "backward": backward}


def answer(peer, q):
    if torch is None:
        return {"error": f"{sys.executable}: {missing}; PYTHON= names an interpreter that has it"}
    if q["ask"] == "version":
        return {"torch": torch.__version__}
    try:
        return getattr(peer, q["ask"])(q)
    except Exception as e:  # whatever it is, it goes to who asked
        return {"error": f"{q.get('op', q['ask'])}: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"}


def main():
    peer = Peer()
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
