"""Runs bench_step and trm_torch.py in turns and writes the tables; against_pytorch.sh prepares and calls this.

Every measurement is a process of its own. In each round ours, PyTorch eager and PyTorch compiled follow each
other case by case, and who goes first changes from round to round, so that a slow minute of the machine hits
all three. A run that fails shows as `-` with its reason below the tables, and the rest goes on.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUN_LIMIT_S = 1800
RUNNERS = ("ours", "eager", "compiled")
WORKS = ("training", "evaluation")
ARCHS = ("mlp", "att")
DTYPES = ("f32", "bf16")
# What narrows the instructions or tunes the libraries of either side belongs beside the numbers.
TELLING_VARIABLES = (
    "REEL_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "OMP_NUM_THREADS",
    "KMP_BLOCKTIME",
)


@dataclass(frozen=True)
class Size:
    summary: str
    options: str
    batch: dict  # per work
    steps: dict  # timed steps of a run, per work
    quick_steps: int
    archs: tuple = ARCHS


SMALL_STEPS = {"training": 20, "evaluation": 16}
SIZES = {
    "published": Size(
        "the published Sudoku-Extreme model: hidden 512, sequence 81 + 16, H 3, L 6",
        "--hidden 512 --heads 8 --seq 81 --puzzle_len 16 --H 3 --L 6 --round_width 256",
        {"training": 16, "evaluation": 64},
        {"training": 3, "evaluation": 2},
        1,
    ),
    "small": Size(
        "hidden 128, 4 heads, sequence 36 + 1, H 2, L 3, inner widths rounded up to 256 as published",
        "--hidden 128 --heads 4 --seq 36 --puzzle_len 1 --H 2 --L 3 --round_width 256",
        {"training": 64, "evaluation": 64},
        SMALL_STEPS,
        3,
    ),
    "quickstart": Size(
        "what the quickstart trains: hidden 64, 2 heads, sequence 36 + 1, H 2, L 3, inner widths rounded up to 32",
        "--hidden 64 --heads 2 --seq 36 --puzzle_len 1 --H 2 --L 3 --round_width 32",
        {"training": 40, "evaluation": 40},
        SMALL_STEPS,
        3,
    ),
}


# What a GPU is for: the batch of the published runs.
GPU_STEPS = {"training": 20, "evaluation": 20}
GPU_SIZES = {
    "sudoku": Size(
        "the published Sudoku-Extreme model with its MLP, without puzzle embedding: hidden 512, sequence 81, H 3, L 6",
        "--hidden 512 --heads 8 --seq 81 --puzzle_len 0 --H 3 --L 6 --round_width 256",
        {"training": 768, "evaluation": 768},
        GPU_STEPS,
        3,
        ("mlp",),
    ),
    "sudoku_att": Size(
        "the published Sudoku-Extreme model with attention: hidden 512, sequence 81 + 16, H 3, L 6",
        "--hidden 512 --heads 8 --seq 81 --puzzle_len 16 --H 3 --L 6 --round_width 256",
        {"training": 768, "evaluation": 768},
        GPU_STEPS,
        3,
        ("att",),
    ),
    "maze": Size(
        "the published Maze-Hard and ARC model: hidden 512, sequence 900 + 16, H 3, L 4",
        "--hidden 512 --heads 8 --seq 900 --puzzle_len 16 --H 3 --L 4 --round_width 256",
        {"training": 96, "evaluation": 96},
        GPU_STEPS,
        3,
        ("att",),
    ),
}
SIZES_OF = {"cpu": SIZES, "cuda": GPU_SIZES}
DTYPES_OF = {"cpu": DTYPES, "cuda": ("bf16",)}


@dataclass(frozen=True)
class Case:
    size: str
    work: str
    arch: str
    dtype: str

    def __str__(self):
        return f"{self.size} {self.work} {self.arch} {self.dtype}"


@dataclass
class Runs:
    """What one runner did in one case."""

    step_ms: list = field(default_factory=list)  # the median of each round
    peak_mib: list = field(default_factory=list)
    idle_mib: float = None  # resident where the same command stops before its first step
    failure: str = None

    def median_ms(self):
        return statistics.median(self.step_ms) if self.step_ms and not self.failure else None

    def memory_mib(self):
        return statistics.median(self.peak_mib) - self.idle_mib if self.peak_mib and not self.failure else None

    def spread(self):
        return (max(self.step_ms) - min(self.step_ms)) / statistics.median(self.step_ms) if self.step_ms else 0


@dataclass
class Session:
    """Everything measured so far."""

    args: argparse.Namespace
    started: datetime.datetime
    load: float
    threads: int
    isa: str
    device: str
    torch: str = None
    rounds_done: int = 0
    runs: dict = field(default_factory=dict)  # (Case, runner) -> Runs
    step_gflop: dict = field(default_factory=dict)  # Case -> GFLOP of its matrix products
    roofs: dict = field(default_factory=dict)  # (dtype, "ours" or "eager") -> GFLOP/s


# ---- running ----


def execute(command):
    """The JSON object that a command prints, or None and why not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_LIMIT_S)
    except subprocess.TimeoutExpired:
        return None, f"took more than {RUN_LIMIT_S} s"
    except OSError as e:
        return None, str(e)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1]), None
    if done.returncode < 0:
        return None, f"killed by signal {-done.returncode}"
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return None, said[-1][:300] if said else f"exit status {done.returncode}, and not a word"


def program(args, runner):
    return [args.bench_step] if runner == "ours" else [sys.executable, str(HERE / "trm_torch.py")]


def command(s, case, runner, steps):
    size = SIZES_OF[s.args.device][case.size]
    words = program(s.args, runner) + size.options.split() + ["--device", s.args.device]
    words += ["--arch" if runner == "ours" else "--variant", case.arch, "--dtype", case.dtype, "--json"]
    words += ["--batch", str(size.batch[case.work]), "--steps", str(steps), "--threads", str(s.threads)]
    words += ["--forward-only"] if case.work == "evaluation" else []
    words += ["--compile"] if runner == "compiled" else []
    return words


def steps_of(s, case):
    size = SIZES_OF[s.args.device][case.size]
    return size.quick_steps if s.args.quick else size.steps[case.work]


def peak_mib(s, report):
    """Of the host's memory, or of the device's."""
    return report["resident_peak_mib" if s.args.device == "cpu" else "device_peak_mib"]


def measure_idle(s, case, runner, runs):
    report, runs.failure = execute(command(s, case, runner, 0))
    if report:
        runs.idle_mib = peak_mib(s, report) if s.args.device == "cpu" else 0
        s.torch = report.get("torch", s.torch)
        s.step_gflop[case] = report.get("step_gflop", s.step_gflop.get(case))


def measure(s, case, runner):
    """One run, unless this one has failed before."""
    runs = s.runs.setdefault((case, runner), Runs())
    if runs.idle_mib is None and not runs.failure:
        measure_idle(s, case, runner, runs)
    if runs.failure:
        return
    report, runs.failure = execute(command(s, case, runner, steps_of(s, case)))
    if report:
        runs.step_ms.append(report["step_ms"])
        runs.peak_mib.append(peak_mib(s, report))


def measure_roofs(s):
    """The best that either library's matrix product has shown in any round."""
    for dtype in s.args.dtypes:
        for runner in ("ours", "eager"):
            options = ["--gemm-roof", "--dtype", dtype, "--threads", str(s.threads), "--device", s.args.device, "--json"]
            report, failure = execute(program(s.args, runner) + options)
            if report:
                best = max(s.roofs.get((dtype, runner), 0), report["gemm_gflop_per_second"])
                s.roofs[dtype, runner] = best
            progress(f"roof {dtype} {runner}: {failure or '%.0f GFLOP/s' % report['gemm_gflop_per_second']}")


def measure_round(s, number):
    measure_roofs(s)
    for case in cases(s.args):
        first = number % len(RUNNERS)
        for runner in RUNNERS[first:] + RUNNERS[:first]:
            measure(s, case, runner)
            runs = s.runs[case, runner]
            progress(f"round {number + 1} {case} {runner}: {runs.failure or '%.1f ms' % runs.step_ms[-1]}")
    s.rounds_done = number + 1


def cases(args):
    return [Case(size, work, arch, dtype) for size in args.sizes for work in WORKS
            for arch in SIZES_OF[args.device][size].archs for dtype in args.dtypes]  # fmt: skip


def progress(line):
    print(f"{datetime.datetime.now():%H:%M:%S} {line}", file=sys.stderr, flush=True)


# ---- writing ----


def least(values):
    return min((v for v in values if v is not None), default=None)


def ratio(a, b):
    return a / b if a is not None and b else None


def shown(value, form):
    return "-" if value is None else form.format(value)


COLUMNS = (
    "work", "mixer", "dtype", "ours ms", "eager ms", "compiled ms", "spread", "better / ours", "eager / ours",
    "ours of roof", "better of roof", "ours MiB", "eager MiB", "compiled MiB", "lesser / ours",
)  # fmt: skip


def row(s, case):
    runs = [s.runs[case, runner] for runner in RUNNERS]
    ours, eager, compiled = (r.median_ms() for r in runs)
    better = least((eager, compiled))
    memory = [r.memory_mib() for r in runs]
    roof = max((v for (dtype, _), v in s.roofs.items() if dtype == case.dtype), default=None)
    floor_ms = ratio(s.step_gflop.get(case), roof and 1e-3 * roof)
    spread = max(r.spread() for r in runs) if s.rounds_done > 1 else None
    return [
        case.work, case.arch, case.dtype,
        *(shown(ms, "{:.1f}") for ms in (ours, eager, compiled)),
        shown(spread, "{:.0%}"),
        shown(ratio(better, ours), "**{:.2f}**"),
        shown(ratio(eager, ours), "{:.2f}"),
        *(shown(ratio(floor_ms, ms), "{:.0%}") for ms in (ours, better)),
        *(shown(mib, "{:.0f}") for mib in memory),
        shown(ratio(least(memory[1:]), memory[0]), "**{:.2f}**"),
    ]  # fmt: skip


def table(rows):
    """Markdown whose columns also line up in a terminal."""
    rows = [list(COLUMNS)] + rows
    widths = [max(len(r[i]) for r in rows) for i in range(len(COLUMNS))]
    rows.insert(1, ["-" * w if i < 3 else "-" * (w - 1) + ":" for i, w in enumerate(widths)])
    align = lambda i, cell: cell.ljust(widths[i]) if i < 3 else cell.rjust(widths[i])
    return ["| " + " | ".join(align(i, cell) for i, cell in enumerate(r)) + " |" for r in rows]


def cpu_model():
    text = Path("/proc/cpuinfo").read_text()
    names = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", text, re.M)
    return names.group(1).strip() if names else platform.machine()


def commit():
    try:
        words = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=10"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


MEMORY_LINES = {
    "cpu": (
        "MiB is the peak resident size less that of the same command stopped before its first step; *lesser* is the",
        "smaller of eager's and compiled's, and the compiler's own memory counts.",
    ),
    "cuda": ("MiB is what was taken from the device; *lesser* is the smaller of eager's and compiled's.",),
}


def heading(s):
    roof = lambda dtype, runner: shown(s.roofs.get((dtype, runner)), "{:.0f}")
    roofs = [f"{dtype} {roof(dtype, 'ours')} by ours, {roof(dtype, 'eager')} by PyTorch" for dtype in s.args.dtypes]
    variables = [f"{name}={os.environ[name]}" for name in TELLING_VARIABLES if name in os.environ]
    return [
        f"# Reel against PyTorch on {'the CPU' if s.args.device == 'cpu' else s.device}",
        "",
        f"- {s.started:%Y-%m-%d %H:%M}, Reel {commit()}, PyTorch {s.torch}, Python {platform.python_version()}",
        f"- {cpu_model()}, {os.cpu_count()} cores, {s.threads} threads, {s.isa}; load {s.load:.1f} at the start",
        *([f"- environment: {' '.join(variables)}"] if variables else []),
        f"- GEMM roof, GFLOP/s at 4096 x 4096 x 4096: {'; '.join(roofs)}; shares are of the greater",
        f"- {s.rounds_done} of {s.args.rounds} rounds{' (quick: too few steps to rely on)' if s.args.quick else ''}",
        "",
        "A step is one supervision step: of training (gradients, AdamAtan2, moving average) or of an evaluation",
        "(no gradient). Times are medians over the rounds of each run's median step; *spread* is the widest",
        "(max - min) / median of the three. *better* is the faster of eager and compiled.",
        *MEMORY_LINES[s.args.device],
    ]


def report(s):
    lines = heading(s)
    for size in s.args.sizes:
        batch = SIZES_OF[s.args.device][size].batch
        lines += ["", f"## {size}", "", f"{SIZES_OF[s.args.device][size].summary}; batch {batch['training']} in training, "
                  f"{batch['evaluation']} in evaluation.", ""]  # fmt: skip
        lines += table([row(s, case) for case in cases(s.args) if case.size == size])
    failures = [f"- {case} {runner}: {runs.failure}" for (case, runner), runs in s.runs.items() if runs.failure]
    return "\n".join(lines + (["", "Not measured:", "", *failures] if failures else [])) + "\n"


def result_path(s):
    """Partial runs do not overwrite whole ones, nor do runs held back on purpose."""
    model = re.sub(r"[^a-z0-9]+", "_", (cpu_model() if s.args.device == "cpu" else s.device).lower()).strip("_")
    parts = [s.args.device, model, f"{s.started:%Y-%m-%d}"]
    parts += [os.environ["REEL_CPU_ISA"]] if "REEL_CPU_ISA" in os.environ else []
    parts += [f"{s.threads}threads"] if s.args.threads else []
    parts += s.args.sizes if len(s.args.sizes) < len(SIZES_OF[s.args.device]) else []
    parts += s.args.dtypes if len(s.args.dtypes) < len(DTYPES_OF[s.args.device]) else []
    parts += ["quick"] if s.args.quick else []
    return HERE / "results" / ("_".join(parts) + ".md")


# ---- the whole ----


def arguments():
    p = argparse.ArgumentParser(prog="against_pytorch.sh", description="Measures Reel against PyTorch in turns.")
    p.add_argument("--bench-step", required="--help" not in sys.argv, metavar="FILE", help=argparse.SUPPRESS)
    p.add_argument("--quick", action="store_true", help="one round of few steps, to see that everything runs")
    p.add_argument("--rounds", type=int, metavar="N", help="how often everybody has a turn (3; quick: 1)")
    p.add_argument("--sizes", nargs="+", metavar="NAME", help="which models (all): "
                   + "; ".join(f"with --device {d} {', '.join(sizes)}" for d, sizes in SIZES_OF.items()))  # fmt: skip
    p.add_argument("--dtypes", nargs="+", choices=DTYPES, help="which dtypes (both; on cuda bf16)")
    p.add_argument("--threads", type=int, metavar="N", help="of either side (what Reel takes by itself)")
    p.add_argument("--device", choices=SIZES_OF, default="cpu")
    args = p.parse_args()
    known = SIZES_OF[args.device]
    args.sizes = args.sizes or list(known)
    args.dtypes = args.dtypes or list(DTYPES_OF[args.device])
    for size in args.sizes:
        if size not in known:
            p.error(f"--sizes: with --device {args.device} there are {', '.join(known)}, not {size}")
    if args.rounds is None:
        args.rounds = 1 if args.quick else 3
    if args.rounds < 1:
        p.error("--rounds must be at least 1")
    return args


def begin(args):
    """Asks bench_step for the threads and instructions that it takes by itself."""
    options = ["--hidden", "8", "--heads", "1", "--batch", "1", "--steps", "0", "--device", args.device, "--json"]
    options += ["--threads", str(args.threads)] if args.threads else []
    told, failure = execute([args.bench_step] + options)
    if failure:
        sys.exit(f"{args.bench_step}: {failure}")
    return Session(args, datetime.datetime.now(), os.getloadavg()[0], told["threads"], told["isa"],
                   told["device"])  # fmt: skip


def main():
    s = begin(arguments())
    path = result_path(s)
    for number in range(s.args.rounds):
        measure_round(s, number)
        path.write_text(report(s))  # a run that is broken off leaves its whole rounds
    print(report(s))
    print(f"Written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
