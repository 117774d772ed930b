"""The `algebra` verifier: are the equations of a worked solution true, and do they arrive at the claimed answer?

Owns what follows from equations, box and answer for one draft. Reading equations is `eval.expressions`' business and
comparing answers `eval.answers`'. It cannot see whether the steps fit the story: right sums for another question pass.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from eval.answers import VERSION as ANSWERS
from eval.answers import compare, extract, split_unit
from eval.chains import find_chains
from eval.exact import Undecided, Value, letters_of, substitute
from eval.expressions import EquationCheck, Reason, check_equations, value
from eval.notation import PI
from memory.ids import fingerprint
from memory.records import Check, CheckOutcome, Draft

MAX_EVIDENCE = 200
MAX_STATEMENT = 2000
MAX_DIGITS = 60

#: A number with its sign; a minus behind another number is an operation.
_NUMBER = re.compile(
    r"(?P<minus>(?:^|[=(*/+≈])\s*\$?-\s*)?\$?(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
)
#: ``10/4=2.5 \boxed{5/2}``: a box right behind a number is no factor of it.
_BESIDE_BOX = re.compile(r"(?<=[\d})\]%])[ \t]{0,20}\$?(?=\\(?:boxed|fbox)\b)")
#: Words beside which one equation asks for its letter and nothing else ("find 2x if ..." is left alone).
_ASKING = frozenset(
    re.findall(
        r"\w+",
        """solve find determine calculate compute for which what is the value of if given that when where equation
        true does satisfy satisfies equal number unknown let suppose then in to it holds how much please and""",
    )
)


class Algebra:
    """Fails drafts with a false equation, with a box other than the answer, or whose steps arrive elsewhere.

    Passes those with a true equation, or whose answer solves the equation in the statement; abstains otherwise.
    """

    name = "algebra"
    version = f"1+{ANSWERS}"
    independent = True
    judges_answer = True
    costly = False

    @property
    def fingerprint(self) -> str:
        """Hash of name and version: there are no settings."""
        return fingerprint([self.name, self.version])

    def check(self, drafts: Sequence[Draft]) -> list[Check]:
        """One check for each draft, order kept."""
        return [self._check(draft) for draft in drafts]

    def _check(self, draft: Draft) -> Check:
        problem = draft.problem
        answer, solution = problem.answer, problem.solution or ""
        solves = solves_statement(problem.statement, answer)
        if solves is False:
            return self._word(CheckOutcome.FAIL, "equation_not_satisfied", f"{answer} in {problem.statement}")
        equations = check_equations(_BESIDE_BOX.sub("\n", solution))
        wrong = next((equation for equation in equations if equation.verdict is False), None)
        if wrong is not None:
            return self._word(CheckOutcome.FAIL, "false_equation", wrong.text)
        boxed = extract(solution)
        agrees = compare(boxed, answer) if boxed is not None else None
        if agrees is False:
            return self._word(CheckOutcome.FAIL, "box_differs", f"{boxed} is not {answer}")
        arrives = derives(equations, answer)
        if arrives is False and not solves:
            return self._word(CheckOutcome.FAIL, "answer_not_derived", f"{answer} after {_last_decided(equations)}")
        unclear = next((equation for equation in equations if equation.reason is Reason.UNITS), None)
        if unclear is not None:  # 3 feet = 36 inches, or a slip: the numbers differ, the units too
            return self._word(CheckOutcome.ABSTAIN, "units_unclear", unclear.text)
        if boxed is not None and agrees is None:
            return self._word(CheckOutcome.ABSTAIN, "answer_undecided", f"{boxed} and {answer}")
        if solves or arrives:
            return self._word(CheckOutcome.PASS)
        return self._word(CheckOutcome.ABSTAIN, "nothing_decided")

    def _word(self, outcome: CheckOutcome, reason: str = "", evidence: str = "") -> Check:
        evidence = " ".join(evidence.split())[:MAX_EVIDENCE]
        return Check(verifier=self.name, version=self.version, outcome=outcome, reason=reason, evidence=evidence)


def _last_decided(equations: Sequence[EquationCheck]) -> str:
    return next((equation.text for equation in reversed(equations) if equation.verdict), "")


def derives(equations: Sequence[EquationCheck], answer: str) -> bool | None:
    """Whether worked equations arrive at the answer; None where that is not decidable.

    They do if the answer is the value of the last decided chain or a number of its last side (the last of Euclid's
    divisions, ``12=6*2``, ends beside the answer); for a fraction, if its two parts are computed. Undecidable without
    a true equation, with an answer that is no rational number, or when undecided equations follow the last decided
    one.
    """
    wanted = value(split_unit(answer)[0]) if len(answer) <= MAX_EVIDENCE else None
    decided = [at for at, equation in enumerate(equations) if equation.verdict]
    if wanted is None or not decided:
        return None
    last = equations[decided[-1]]
    end = re.split(r"=|≈|\\approx", last.text)[-1].strip()
    reached = _numbers_in(end)
    if (worth := value(end)) is not None:
        reached.add(worth)
    if reached & {wanted, wanted * 100, wanted / 100}:  # percent, cents
        return True
    if wanted.denominator != 1:
        everywhere = set().union(*(_numbers_in(equations[at].text) for at in decided))
        if {Fraction(wanted.numerator), Fraction(wanted.denominator)} <= everywhere:
            return True
    # What comes after the last decided chain may lead on: an assignment, another unit, something unread.
    return None if any(equation.start >= last.end for equation in equations[decided[-1] + 1 :]) else False


def _numbers_in(text: str) -> set[Fraction]:
    found = set()
    for match in _NUMBER.finditer(text):
        digits = match["digits"].replace(",", "")
        if len(digits) < MAX_DIGITS:
            number = Fraction(digits if digits[0] != "." else f"0{digits}")
            found.add(-number if match["minus"] else number)
    return found


def solves_statement(statement: str, answer: str) -> bool | None:
    """Whether the answer satisfies the statement's equation; None unless it is one equation in one letter, asked for.

    ``Solve 3x + 5 = 26`` with 7 is True. Statements that may ask for something else than the letter are None.
    """
    if len(statement) > MAX_STATEMENT or "=" not in statement:
        return None
    chains = find_chains(statement)
    wanted = value(answer) if len(answer) <= MAX_EVIDENCE else None
    if wanted is None or len(chains) != 1 or len(chains[0].sides) != 2 or chains[0].relations != ("=",):
        return None
    chain = chains[0]
    left, right = (side.expr.value if side.expr is not None and not side.unsure else None for side in chain.sides)
    if left is None or right is None:
        return None
    letters = (letters_of(left) | letters_of(right)) - {PI}
    rest = f"{statement[: chain.start]} {statement[chain.end :]}"
    words = re.findall(r"[^\W\d_]+", rest)
    if len(letters) != 1 or re.search(r"[\d+*/^=<>²³√]", rest):
        return None
    letter = next(iter(letters))
    if any(word != letter and word.lower() not in _ASKING for word in words):
        return None
    return _satisfies(left, right, {letter: wanted})


def _satisfies(left: Value, right: Value, known: dict[str, Fraction]) -> bool | None:
    try:
        a, b = substitute(left, known), substitute(right, known)
    except Undecided:
        return None
    return a == b if isinstance(a, Fraction) and isinstance(b, Fraction) else None
