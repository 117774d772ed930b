"""GSM8K's example_model_solutions.jsonl through `remedial diagnose`: agreement with the recorded flags, and seconds.

    python benchmarks/gsm8k_grader.py [PATH]

For each of the four models: agreement, every disagreement with the answer read and the gold answer, how often answers
needed math-verify, what was found, and the seconds of grading alone and of the whole diagnosis, its embeddings
computed anew. The exit code is 1 below 99.5 % for any model, or above 120 s.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from agent.progress import Progress
from agent.recorded.base import Asked
from agent.recorded.diagnosing import diagnose_file
from agent.recorded.grading import grade
from agent.recorded.table import read_recording
from eval.grading import Grader

LEAST, MOST_SECONDS = 99.5, 120.0


def main(path: Path) -> int:
    recording = read_recording(path, Asked())
    passed, agreeing, compared = True, 0, 0
    for model in recording.models:
        outputs = [output for output in recording.outputs if output.model == model]
        started = time.perf_counter()
        with Grader() as grader:
            graded = grade(outputs, grader, bare=recording.bare)
        grading = time.perf_counter() - started
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            (found,) = diagnose_file(
                path, Asked(), models=(model,), cache=Path(folder) / "cache.sqlite", progress=Progress(quiet=True)
            )
            seconds = time.perf_counter() - started
        flags = found["flags"]
        agreeing, compared = agreeing + flags["agree"], compared + flags["compared"]
        print(
            f"{model}: {flags['agree']} of {flags['compared']} agree ({flags['agreement']:.2f} %): {found['outcomes']}",
            f"decided {dict(grader.stats)}; {len(found['clusters'])} clusters, stability {found['stability']:.2f};",
            f"grading {grading:.2f} s, diagnosis {seconds:.1f} s",
            flush=True,
        )
        for item in flags["disagreements"]:
            print(f"  line {item['line']}: recorded {item['recorded']}, {item['ours']}: {item['extracted']!r} for "
                  f"{item['gold']!r}")  # fmt: skip
        passed &= flags["agreement"] >= LEAST and seconds <= MOST_SECONDS
        assert len(graded.disagreements) == len(flags["disagreements"])
    print(f"together: {agreeing} of {compared} agree")
    return 0 if passed else 1


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    shared = Path(os.environ.get("REMEDIAL_SHARED", root.parent / "shared"))
    default = shared / "data" / "gsm8k" / "example_model_solutions.jsonl"
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
