"""Trial functions for the tests of the study engine; workers import them by name."""

import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import torch

from reprostats.errors import DivergedError


def constant(trial):
    return {"value": 1.0}


def slow_constant(trial):
    time.sleep(0.2)
    return {"value": 1.0}


def logged(trial):
    """Leave a line in a file each time it runs."""
    with Path(trial.config["log"]).open("a") as log:
        log.write("ran\n")
    return {"value": trial.generator("init").normal()}


def streams(trial):
    return {name: trial.generator(name).normal() for name in ("init", "batch_order", "split")}


def environment(trial):
    return {
        "threads": torch.get_num_threads(),
        "omp": int(os.environ["OMP_NUM_THREADS"]),
        "hash": hash("text"),
        "isa": {torch.backends.cpu.get_cpu_capability(): 1.0},
        "deterministic": float(torch.are_deterministic_algorithms_enabled()),
        "cublas": float("CUBLAS_WORKSPACE_CONFIG" in os.environ),
    }


def global_draws(trial):
    return {
        "torch": torch.rand(1).item(),
        "numpy": np.random.rand(),  # noqa: NPY002
        "python": random.random(),  # noqa: S311
    }


def vandal(trial):
    """Change everything that could reach the next trial."""
    found = {
        "threads": torch.get_num_threads(),
        "variable": float("VANDAL" in os.environ),
        "deterministic": float(torch.are_deterministic_algorithms_enabled()),
        "draw": torch.rand(1).item(),
        "dtype": float(torch.get_default_dtype() is torch.float64),
    }
    os.environ["VANDAL"] = "1"
    os.chdir("/")
    torch.use_deterministic_algorithms(True)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(trial.repeat)
    random.seed(trial.repeat)
    return found


def by_case(trial):
    return {"dice": {"patient 1": 0.5, "patient 2": float("nan")}, "loss": np.float32(0.25)}


def faulty(trial):  # noqa: C901 - a list of faults
    """End in the way that the repeat says: see the numbers."""
    match trial.repeat:
        case 1:
            raise ValueError("the seventh image has no mask")
        case 2:
            return {"loss": float("nan")}
        case 3:
            raise DivergedError("the loss is nan in epoch 3")
        case 4:
            os.kill(os.getpid(), signal.SIGKILL)
        case 5:
            time.sleep(60)
        case 6:
            os._exit(3)
        case 7:
            return [1, 2]
        case 8:
            return {"loss": "low"}
        case 9:
            raise SystemExit(1)
        case 10:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
    return {"loss": 0.5}


def outlived_by_nobody(trial):
    """Let the worker die after the record is written and before it can say so."""
    worker = os.getppid()
    os.kill(worker, signal.SIGSTOP)
    if not os.fork():
        while not (trial.folder / "record.json").exists():
            time.sleep(0.01)
        os.kill(worker, signal.SIGKILL)
        os._exit(0)
    return {"value": 1.0}


def tells_what_is_no_text(trial):
    """Describe with half of a character, as a file name that is no UTF-8 may hold it."""
    trial.describe(dataset="\ud800", files={"\udcff": ["\udcff"]})
    trial.fingerprints["file \udcff"] = "\udcff"
    return {"value": 1.0}


def kept_and_timed(trial):
    trial.keep("weights", {"x": torch.ones(3)})
    trial.fingerprints["order"] = "[2, 1]"
    with trial.timed("training"):
        pass
    return {"value": 1.0}


def leaves_process(trial):
    """Leave a process of its own behind."""
    child = os.fork()
    if not child:
        time.sleep(120)
        os._exit(0)
    return {"child": child}


def gradient_steps(trial):
    """Train a small network for some steps, with weights and order from their streams."""
    with trial.stream("init"):
        model = torch.nn.Linear(4, 2)
    inputs = torch.linspace(-1, 1, 64).reshape(16, 4)
    order = torch.randperm(16, generator=trial.torch_generator("batch_order"))
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    first = model.weight.detach().clone()
    for batch in order.split(4):
        optimiser.zero_grad()
        model(inputs[batch]).square().mean().backward()
        optimiser.step()
    trial.fingerprints["initial"] = first.numpy().tobytes().hex()
    trial.fingerprints["order"] = str(order.tolist())
    trial.fingerprints["weights"] = model.weight.detach().numpy().tobytes().hex()
    return {"loss": model(inputs).square().mean()}


def sleeper(trial):
    time.sleep(trial.config["seconds"])
    return {"value": 1.0}


def big(trial):
    trial.fingerprints["folder"] = str(trial.folder)
    print("printed by the trial")
    return {"x": {str(number): number / 7 for number in range(1000)}}


def starts_a_program(trial):
    child = subprocess.Popen(["sleep", "120"])
    (trial.folder / "pid").write_text(str(child.pid))
    time.sleep(120)
    return {"value": 1.0}


def unwritable(trial):
    match trial.repeat:
        case 0:
            trial.fingerprints["weights"] = 123
        case 1:
            raise ValueError("\udcff")
        case 2:
            return {}
        case 3:
            return {"x": {2: 1.0, "2": 1.0}}
        case 4:
            raise KeyboardInterrupt
        case 5:
            print("epoch 1")
            os.kill(os.getpid(), signal.SIGKILL)
    return {"value": 1.0}


def every_source(trial):
    """Draw from every stream and ask for every choice; leave a fingerprint of each."""
    for name in ("init", "batch_order", "augmentation", "split"):
        trial.keep(name, {"x": torch.from_numpy(trial.generator(name).normal(size=3))})
    trial.keep("dropout", {"x": torch.rand(3)})
    order = [int(word) for word in set(map(str, range(50)))]
    trial.keep("set_order", {"x": torch.tensor(order)})
    for name in ("initialiser", "adam", "adam_epsilon", "framework", "world_size"):
        trial.level(name)
    trial.to(torch.nn.Linear(1, 1))
    return {"value": 1.0}


def slow_logged(trial):
    """Take half a second and leave a line when done."""
    time.sleep(0.5)
    return logged(trial)


def trained(trial):
    """Train a small network; its bits follow the seed and the number of threads."""
    generator = trial.torch_generator("init")
    weights = torch.randn(600, 600, generator=generator, requires_grad=True)
    inputs = torch.randn(300, 600, generator=generator)
    optimiser = torch.optim.Adam([weights], 0.01)
    for _ in range(5):
        optimiser.zero_grad()
        (inputs @ weights).tanh().pow(2).sum().backward()
        optimiser.step()
    trial.keep("weights", {"weights": weights})
    return {"norm": weights.norm().item()}


def fills_the_disk(trial):
    """Let no file grow from the second repeat on, as on a full disk, if the config says so."""
    if trial.repeat and Path(trial.config["full"]).exists():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return {"value": float(trial.repeat)}


def scaled(trial):
    return {
        "value": trial.config["scale"] * trial.generator("init").normal() + trial.config["shift"]
    }


def scattered(trial):
    return {"dice": 0.8 + 0.01 * trial.generator("init").normal() + 0.01 * trial.level("threads")}
