"""A worker of the line protocol: reads a JSON object a line and answers one a line.

    python worker.py ENGINE --threads N

Engines are the modules engine_*.py. Whatever goes wrong is an answer, and the worker lives on.
"""

import argparse
import gc
import importlib
import json
import os
import sys
import time

import numpy as np

from case import Unsupported, parse


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("engine")
    arguments.add_argument("--threads", type=int, default=1)
    asked = arguments.parse_args()
    # Standard output is for answers alone: what libraries print there goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, _, variant = asked.engine.partition("-")
    engine = importlib.import_module(f"engine_{module}").Engine(asked.threads, variant)
    worker = Worker(asked.engine, engine, asked.threads)
    for line in sys.stdin:
        answer = worker.answer(line)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if "quit" in answer:
            return


class Worker:
    def __init__(self, name, engine, threads):
        self.name, self.engine, self.threads, self.cases = name, engine, threads, {}

    def answer(self, line):
        try:
            request = json.loads(line)
            action = getattr(self, "do_" + request["do"], None)
            if action is None:
                raise ValueError(f"'{request['do']}' is no request")
            return action(request)
        except Unsupported as reason:
            return {"error": f"unsupported: {reason}"}
        except KeyError as missing:
            return {"error": f"{missing} is missing or unknown"}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}".splitlines()[0][:500]}

    def do_hello(self, _):
        return {
            "engine": self.name,
            "version": self.engine.version,
            "isa": widest_vectors(),
            "threads": self.threads,
            "features": self.engine.features,
        }

    def do_prepare(self, request):
        name = request["case"]
        self.cases.pop(name, None)
        case = parse(request)
        ready = self.engine.prepare(case, case.arrays())
        self.cases[name] = ready
        return {"case": name, "algorithm": ready.algorithm, "workspace_bytes": 0, "packed_bytes": ready.packed_bytes}

    def do_time(self, request):
        run = self.case(request).run
        runs = int(request["runs"])
        if runs < 1:
            raise ValueError(f"runs is {runs}, it must be at least 1")
        # No warming up here: the coordinator leaves out the first run of each turn, for every engine alike.
        seconds = []
        gc.disable()
        try:
            for _ in range(runs):
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)
        finally:
            gc.enable()
        return {"case": request["case"], "seconds": seconds}

    def do_save(self, request):
        ready = self.case(request)
        ready.run()
        result = np.ascontiguousarray(ready.result())
        with open(request["file"], "wb") as file:
            np.save(file, result)
        return {"case": request["case"], "shape": list(result.shape)}

    def do_drop(self, request):
        dropped = self.cases.pop(request["case"], None) is not None
        if not dropped:
            raise ValueError(f"there is no case '{request['case']}'")
        gc.collect()
        return {"case": request["case"], "dropped": True}

    def do_quit(self, _):
        return {"quit": True}

    def case(self, request):
        if request["case"] not in self.cases:
            raise ValueError(f"there is no case '{request['case']}'")
        return self.cases[request["case"]]


def widest_vectors():
    """The widest vector instructions of this machine, which these engines all look for themselves."""
    try:
        with open("/proc/cpuinfo") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "").split()
    except OSError:
        return "unknown"
    if "avx512f" in flags:
        return "avx512f"
    if "avx2" in flags:
        return "avx2+fma"
    return "neon" if "asimd" in flags else "baseline"


if __name__ == "__main__":
    main()
