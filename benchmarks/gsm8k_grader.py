"""How far the grader agrees with the flags recorded in GSM8K's example_model_solutions.jsonl, and how fast it is.

    python benchmarks/gsm8k_grader.py [PATH]

Prints agreement for each model, every disagreement with the answer read and the gold answer, and seconds. The exit code
is 1 below 99 %.
"""

import json
import os
import sys
import time
from pathlib import Path

from eval.answers import extract
from eval.grading import Grader
from memory.records import Finish, Outcome, Problem, Split


def main(path: Path) -> int:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    models = [key for key, entry in rows[0].items() if isinstance(entry, dict)]
    worst = 1.0
    with Grader() as grader:
        for model in models:
            problems = [
                Problem.make(row["question"], extract(row["ground_truth"]) or "", source=path.name, split=Split.TEST)
                for row in rows
            ]
            started = time.perf_counter()
            grades = grader.grade(
                [(problem, row[model]["solution"], Finish.STOP) for problem, row in zip(problems, rows, strict=True)]
            )
            seconds = time.perf_counter() - started
            wrong = [
                (row, grade, problem)
                for row, grade, problem in zip(rows, grades, problems, strict=True)
                if (grade.outcome is Outcome.CORRECT) != row[model]["is_correct"]
            ]
            counts = {outcome.value: sum(grade.outcome is outcome for grade in grades) for outcome in Outcome}
            agreement = 1 - len(wrong) / len(rows)
            worst = min(worst, agreement)
            print(f"{model}: {100 * agreement:.2f} % of {len(rows)} agree, {seconds:.2f} s; {counts}")
            for row, grade, problem in wrong:
                flag = "correct" if row[model]["is_correct"] else "wrong"
                print(f"  {grade.outcome}, recorded {flag}: {grade.extracted!r} for {problem.answer!r}")
        print(f"decided: {dict(grader.stats)}")
    return 0 if worst >= 0.99 else 1


if __name__ == "__main__":
    root = Path(__file__).resolve().parent.parent
    shared = Path(os.environ.get("REMEDIAL_SHARED", root.parent / "shared"))
    default = shared / "data" / "gsm8k" / "example_model_solutions.jsonl"
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
